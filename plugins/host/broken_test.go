package host

import (
	"context"
	"math"
	"path"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// This file changes the messages between a correct plugin and the host, so that the host
// receives the messages of a broken plugin.

// through is the protocol over a changed connection.
type through struct {
	goplugin.NetRPCUnsupportedPlugin
	change func(*grpc.ClientConn) grpc.ClientConnInterface
}

func (t *through) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error { return nil }

func (t *through) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return pb.NewAdapterClient(t.change(conn)), nil
}

// brokenBy lets a host talk to its plugin over a changed connection.
func brokenBy(cfg Config, change func(*grpc.ClientConn) grpc.ClientConnInterface) Config {
	cfg.versions = map[int]goplugin.PluginSet{wire.ProtocolVersion: {wire.ServiceName: &through{change: change}}}
	return cfg
}

// withoutMethods is a connection to a plugin that does not serve some methods.
type withoutMethods struct {
	grpc.ClientConnInterface
	unknown map[string]bool
}

func without(conn grpc.ClientConnInterface, methods ...string) withoutMethods {
	unknown := map[string]bool{}
	for _, m := range methods {
		unknown[m] = true
	}
	return withoutMethods{conn, unknown}
}

// name replaces a method that the plugin must not have by one that no plugin has.
func (c withoutMethods) name(method string) string {
	if c.unknown[path.Base(method)] {
		return path.Join(path.Dir(method), "NoSuchMethod")
	}
	return method
}

func (c withoutMethods) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	return c.ClientConnInterface.Invoke(ctx, c.name(method), args, reply, opts...)
}

func (c withoutMethods) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return c.ClientConnInterface.NewStream(ctx, desc, c.name(method), opts...)
}

// lyingConn changes the answer to a Loss whose first target names a lie.
type lyingConn struct{ grpc.ClientConnInterface }

func (c lyingConn) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := c.ClientConnInterface.NewStream(ctx, desc, method, opts...)
	return &lyingStream{ClientStream: stream}, err
}

type lyingStream struct {
	grpc.ClientStream
	lie   string
	after []*pb.Chunk // that the plugin has not sent
}

func (s *lyingStream) SendMsg(m any) error {
	if call, ok := m.(*pb.Call); ok && len(call.GetLoss().GetExamples()) > 0 {
		s.lie = call.GetLoss().Examples[0].Target
	}
	return s.ClientStream.SendMsg(m)
}

func (s *lyingStream) RecvMsg(m any) error {
	reply, ok := m.(*pb.Reply)
	if ok && len(s.after) > 0 {
		reply.Part = &pb.Reply_Chunk{Chunk: s.after[0]}
		s.after = s.after[1:]
		return nil
	}
	err := s.ClientStream.RecvMsg(m)
	if lie := lies()[s.lie]; err == nil && lie != nil && reply.GetLoss() != nil {
		lie(reply.GetLoss().Gradient, func(c *pb.Chunk) { s.after = append(s.after, c) })
	}
	return err
}

// lies change the announcement of a gradient that is in shared memory, and may add chunks.
func lies() map[string]func(g *pb.Tensor, add func(*pb.Chunk)) {
	chunk := func(add func(*pb.Chunk), offset uint64, n int) {
		add(&pb.Chunk{Offset: offset, Data: make([]byte, n)})
	}
	return map[string]func(g *pb.Tensor, add func(*pb.Chunk)){
		"offset at the end":      func(g *pb.Tensor, _ func(*pb.Chunk)) { g.Handle.Offset += g.Nbytes / wire.Alignment * wire.Alignment },
		"offset before":          func(g *pb.Tensor, _ func(*pb.Chunk)) { g.Handle.Offset = 0 },
		"offset of another":      func(g *pb.Tensor, _ func(*pb.Chunk)) { g.Handle.Offset -= wire.Alignment },
		"offset out of bounds":   func(g *pb.Tensor, _ func(*pb.Chunk)) { g.Handle.Offset = 1 << 40 },
		"offset 2**64-32":        func(g *pb.Tensor, _ func(*pb.Chunk)) { g.Handle.Offset = math.MaxUint64 - 31 },
		"offset 2**64-64":        func(g *pb.Tensor, _ func(*pb.Chunk)) { g.Handle.Offset = math.MaxUint64 - 63 },
		"offset not aligned":     func(g *pb.Tensor, _ func(*pb.Chunk)) { g.Handle.Offset += 4 },
		"size out of bounds":     func(g *pb.Tensor, _ func(*pb.Chunk)) { g.Shape, g.Nbytes = []uint64{1 << 26}, 1<<28 },
		"size 2**64-32":          func(g *pb.Tensor, _ func(*pb.Chunk)) { g.Nbytes = math.MaxUint64 - 31 },
		"size that wraps around": func(g *pb.Tensor, _ func(*pb.Chunk)) { g.Shape = []uint64{1 << 33, 1 << 33} },
		"size that lies":         func(g *pb.Tensor, _ func(*pb.Chunk)) { g.Nbytes -= 4 },
		"another shape":          func(g *pb.Tensor, _ func(*pb.Chunk)) { g.Shape, g.Nbytes = []uint64{1, 1, 1}, 4 },
		"another type":           func(g *pb.Tensor, _ func(*pb.Chunk)) { g.Dtype = 200 },
		"older generation":       func(g *pb.Tensor, _ func(*pb.Chunk)) { g.Handle.Generation-- },
		"later generation":       func(g *pb.Tensor, _ func(*pb.Chunk)) { g.Handle.Generation++ },
		"no generation":          func(g *pb.Tensor, _ func(*pb.Chunk)) { g.Handle.Generation = 0 },
		"another slot":           func(g *pb.Tensor, _ func(*pb.Chunk)) { g.Handle.Slot++ },
		"the host's own arena":   func(g *pb.Tensor, _ func(*pb.Chunk)) { g.Handle.Arena = wire.ArenaToPlugin },
		"no such arena":          func(g *pb.Tensor, _ func(*pb.Chunk)) { g.Handle.Arena = 3 },
		"no chunks":              func(g *pb.Tensor, _ func(*pb.Chunk)) { g.Handle = nil },
		"a short chunk":          func(g *pb.Tensor, add func(*pb.Chunk)) { g.Handle = nil; chunk(add, 0, 64) },
		"a long chunk":           func(g *pb.Tensor, add func(*pb.Chunk)) { g.Handle = nil; chunk(add, 0, int(g.Nbytes)+1) },
		"an oversize chunk":      func(g *pb.Tensor, add func(*pb.Chunk)) { g.Handle = nil; chunk(add, 0, 2<<20+1) },
		"a duplicate chunk": func(g *pb.Tensor, add func(*pb.Chunk)) {
			g.Handle = nil
			chunk(add, 0, 64)
			chunk(add, 0, 64)
		},
		"a chunk after a handle": func(g *pb.Tensor, add func(*pb.Chunk)) { chunk(add, 0, 64) },
	}
}

// shrinkGradient answers every Loss with a gradient float32[1, 1, 1].
type shrinkGradient struct{ grpc.ClientConnInterface }

func (c shrinkGradient) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := c.ClientConnInterface.NewStream(ctx, desc, method, opts...)
	return &shrunkStream{stream, nil}, err
}

type shrunkStream struct {
	grpc.ClientStream
	chunk *pb.Chunk // of the gradient, to come next
}

func (s *shrunkStream) RecvMsg(m any) error {
	reply, ok := m.(*pb.Reply)
	if ok && s.chunk != nil {
		reply.Part, s.chunk = &pb.Reply_Chunk{Chunk: s.chunk}, nil
		return nil
	}
	err := s.ClientStream.RecvMsg(m)
	if err == nil && reply.GetLoss() != nil {
		reply.GetLoss().Gradient = &pb.Tensor{Dtype: uint32(adapters.Float32), Shape: []uint64{1, 1, 1}, Nbytes: 4}
		s.chunk = &pb.Chunk{Data: make([]byte, 4)}
	}
	return err
}

// lying breaks a plugin's contract: its gradients have another shape, and it serves neither
// Generate nor Score.
func lying(cfg Config) Config {
	return brokenBy(cfg, func(conn *grpc.ClientConn) grpc.ClientConnInterface {
		return without(shrinkGradient{conn}, "Generate", "Score")
	})
}
