package plugins

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

// method is one of the bidirectional methods of pb.AdapterClient.
type method func(context.Context, ...grpc.CallOption) (grpc.BidiStreamingClient[pb.Call, pb.Reply], error)

// exchange is the host's end of one RPC.
type exchange struct {
	to     *instance
	method method
	where  func() *ProcessError
	room   uint64 // bytes that the answer's tensors may take, for shared memory
	lease  *hostLease
	// call makes the request, announcing its tensors.
	call func(out *outbound) *pb.Call
	// piece takes what comes before the response; nil where nothing may come.
	piece func(*pb.Piece) error
	// reply takes the response, accepting its tensors, which are not filled
	// yet. It reports a part of another method as errWrongPart.
	reply func(in *inbound, r *pb.Reply) error
}

// errWrongPart reports a reply to another method.
var errWrongPart = errors.New("reply to another method")

// run makes the RPC. Errors of the adapter are of type *adapters.Error.
func (x *exchange) run(ctx context.Context) (err error) {
	if arenas := x.to.arenas; arenas != nil {
		x.lease = arenas.lend(x.room)
		defer func() {
			if err == nil {
				arenas.free(x.lease)
			} else { // the plugin may be at it yet
				arenas.giveUp(x.lease, x.to.rpc)
			}
		}()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return x.converse(ctx)
}

func (x *exchange) converse(ctx context.Context) error {
	stream, err := x.method(ctx)
	if err != nil {
		return err
	}
	if err := x.send(stream); err != nil && !errors.Is(err, io.EOF) {
		return err // EOF: the plugin has answered early or died, Recv says which
	}
	for {
		r, err := stream.Recv()
		if err != nil {
			return missing(err, "the call ended without an answer")
		}
		switch part := r.Part.(type) {
		case *pb.Reply_Failure:
			return failureFromWire(part.Failure, x.where())
		case *pb.Reply_Piece:
			if x.piece == nil {
				return protocolErrorf("got %T, want a response", part)
			}
			if err := x.piece(part.Piece); err != nil {
				return err
			}
		default:
			return x.receive(stream, r)
		}
	}
}

func (x *exchange) send(stream grpc.BidiStreamingClient[pb.Call, pb.Reply]) error {
	out := &outbound{}
	if x.lease != nil {
		out.shared = x.lease
	}
	call := x.call(out)
	if x.lease != nil {
		call.Lease = x.lease.wire()
	}
	if err := stream.Send(call); err != nil {
		return err
	}
	err := out.deliver(func(c *pb.Chunk) error {
		return stream.Send(&pb.Call{Part: &pb.Call_Chunk{Chunk: c}})
	})
	if err != nil {
		return err
	}
	return stream.CloseSend()
}

func (x *exchange) receive(stream grpc.BidiStreamingClient[pb.Call, pb.Reply], r *pb.Reply) error {
	in := &inbound{}
	if x.lease != nil {
		in.shared = x.lease
	}
	if err := x.reply(in, r); err != nil {
		if errors.Is(err, errWrongPart) {
			return protocolErrorf("got %T, the answer to another call", r.Part)
		}
		return err
	}
	err := in.receive(func() (*pb.Chunk, error) {
		r, err := stream.Recv()
		if err != nil {
			return nil, err
		}
		if r.GetChunk() == nil {
			return nil, protocolErrorf("got %T, want a chunk", r.Part)
		}
		return r.GetChunk(), nil
	})
	if err != nil {
		return err
	}
	if r, err := stream.Recv(); err == nil {
		return protocolErrorf("got %T after the last chunk", r.Part)
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func missing(err error, message string) error {
	if errors.Is(err, io.EOF) {
		return protocolErrorf("%s", message)
	}
	return err
}

// checked wraps the failure of a response's check.
func checked(op string, err error, where func() *ProcessError) error {
	if err == nil {
		return nil
	}
	return brokenContract(op, err, where())
}

// withOp adds the operation to the error of a request's check.
func withOp(op string, err error) error {
	var e *adapters.Error
	if errors.As(err, &e) {
		return e.WithOp(op)
	}
	return err
}
