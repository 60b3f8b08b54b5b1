package host

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// method is one of the bidirectional methods of pb.AdapterClient.
type method func(context.Context, ...grpc.CallOption) (grpc.BidiStreamingClient[pb.Call, pb.Reply], error)

// exchange is the host's end of one RPC.
type exchange struct {
	to           *instance
	method       method
	processError func() *ProcessError
	replyBytes   uint64 // space that the reply's tensors need in shared memory
	lease        *lease
	// call returns the request, whose tensors it announces to out.
	call func(out *wire.Outbound) *pb.Call
	// further sends messages after the request until done is closed; nil if none may follow.
	further func(stream grpc.BidiStreamingClient[pb.Call, pb.Reply], done <-chan struct{})
	// piece receives what comes before the response; nil if nothing may come.
	piece func(*pb.Piece) error
	// reply receives the response, whose tensors it accepts from in. They are not filled
	// yet. It returns errWrongPart for the response of another method.
	reply func(in *wire.Inbound, r *pb.Reply) error
}

// errWrongPart reports a reply of another method.
var errWrongPart = errors.New("reply of another method")

// run makes the RPC. Errors of the adapter are of type *adapters.Error.
func (x *exchange) run(ctx context.Context) (err error) {
	if arenas := x.to.arenas; arenas != nil {
		x.lease = arenas.lease(x.replyBytes)
		defer func() {
			if err == nil {
				arenas.free(x.lease)
			} else { // the plugin may still work on the call
				arenas.abandon(x.lease, x.to.rpc)
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
	if x.further != nil {
		done, ended := make(chan struct{}), make(chan struct{})
		defer func() {
			close(done)
			<-ended
		}()
		go func() {
			defer close(ended)
			x.further(stream, done)
		}()
	}
	for {
		r, err := stream.Recv()
		if err != nil {
			return eofAsProtocolError(err, "the call ended without an answer")
		}
		switch part := r.Part.(type) {
		case *pb.Reply_Failure:
			return decodeFailure(part.Failure, x.processError())
		case *pb.Reply_Piece:
			if x.piece == nil {
				return wire.ProtocolErrorf("got %T, want a response", part)
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
	out := &wire.Outbound{}
	if x.lease != nil {
		out.Shared = x.lease
	}
	call := x.call(out)
	if x.lease != nil {
		call.Lease = x.lease.proto()
	}
	if err := stream.Send(call); err != nil {
		return err
	}
	err := out.Deliver(func(c *pb.Chunk) error {
		return stream.Send(&pb.Call{Part: &pb.Call_Chunk{Chunk: c}})
	})
	if err != nil {
		return err
	}
	if x.further != nil {
		return nil
	}
	return stream.CloseSend()
}

func (x *exchange) receive(stream grpc.BidiStreamingClient[pb.Call, pb.Reply], r *pb.Reply) error {
	in := &wire.Inbound{}
	if x.lease != nil {
		in.Shared = x.lease
	}
	if err := x.reply(in, r); err != nil {
		if errors.Is(err, errWrongPart) {
			return wire.ProtocolErrorf("got %T, the answer to another call", r.Part)
		}
		return err
	}
	err := in.Receive(func() (*pb.Chunk, error) {
		r, err := stream.Recv()
		if err != nil {
			return nil, err
		}
		if r.GetChunk() == nil {
			return nil, wire.ProtocolErrorf("got %T, want a chunk", r.Part)
		}
		return r.GetChunk(), nil
	})
	if err != nil {
		return err
	}
	if r, err := stream.Recv(); err == nil {
		return wire.ProtocolErrorf("got %T after the last chunk", r.Part)
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// eofAsProtocolError returns err, or an error with the message if err is io.EOF.
func eofAsProtocolError(err error, message string) error {
	if errors.Is(err, io.EOF) {
		return wire.ProtocolErrorf("%s", message)
	}
	return err
}

// responseError wraps the failed check of a response. A nil err gives nil.
func responseError(op string, err error, processError func() *ProcessError) error {
	if err == nil {
		return nil
	}
	return contractError(op, err, processError())
}

// withOp adds the operation to the error of a request's check.
func withOp(op string, err error) error {
	var e *adapters.Error
	if errors.As(err, &e) {
		return e.WithOp(op)
	}
	return err
}
