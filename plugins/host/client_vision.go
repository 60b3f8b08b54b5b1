package host

import (
	"context"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// visionClient is a vision encoder in a plugin.
type visionClient struct {
	process *Process
	spec    adapters.VisionSpec
}

var _ adapters.VisionEncoder = (*visionClient)(nil)

// Spec returns the spec that the plugin sent when it loaded the model.
func (c *visionClient) Spec() adapters.VisionSpec { return c.spec }

// Close ends the plugin.
func (c *visionClient) Close() error { return c.process.Close() }

// Encode calls the plugin.
func (c *visionClient) Encode(ctx context.Context, req *adapters.EncodeRequest) (*adapters.EncodeResponse, error) {
	const op = "encode"
	if err := req.Check(c.spec); err != nil {
		return nil, withOp(op, err)
	}
	var resp *adapters.EncodeResponse
	err := c.process.call(ctx, "Encode", op, func(ctx context.Context, i *instance, processError func() *ProcessError) error {
		resp = &adapters.EncodeResponse{}
		x := exchange{to: i, method: i.rpc.Encode, processError: processError, replyBytes: tensorBytes(req.Images.Shape[0], c.spec.Tokens, c.spec.Width)}
		x.call = func(out *wire.Outbound) *pb.Call {
			return &pb.Call{Part: &pb.Call_Encode{Encode: &pb.EncodeRequest{Images: out.Announce(req.Images)}}}
		}
		x.reply = func(in *wire.Inbound, r *pb.Reply) (err error) {
			w := r.GetEncode()
			if w == nil {
				return errWrongPart
			}
			resp.Features, err = in.Accept("features", w.Features)
			return err
		}
		if err := x.run(ctx); err != nil {
			return err
		}
		if err := resp.Check(c.spec, req); err != nil {
			return responseError(op, err, processError)
		}
		return checkFinite(op, processError, namedTensor{"features", resp.Features})
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}
