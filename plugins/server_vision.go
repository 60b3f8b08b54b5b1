package plugins

import (
	"context"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// Encode answers the RPC of that name.
func (s *server) Encode(stream callStream) error {
	return serveCall(s.arenas, stream, "encode", func(ctx context.Context, c *call) (*pb.Reply, error) {
		w := c.first.GetEncode()
		if w == nil {
			return nil, wire.ProtocolErrorf("got %T, want an encode request", c.first.Part)
		}
		images, err := c.in.Accept("images", w.Images)
		if err != nil {
			return nil, err
		}
		if err := c.receive(); err != nil {
			return nil, err
		}
		model, err := s.visionModel()
		if err != nil {
			return nil, err
		}
		req := &adapters.EncodeRequest{Images: images}
		if err := req.Check(model.Spec()); err != nil {
			return nil, err
		}
		resp, err := model.Encode(ctx, req)
		if err != nil {
			return nil, err
		}
		if err := resp.Check(model.Spec(), req); err != nil {
			return nil, adapterFault(err)
		}
		return &pb.Reply{Part: &pb.Reply_Encode{Encode: &pb.EncodeResponse{Features: c.out.Announce(resp.Features)}}}, nil
	})
}
