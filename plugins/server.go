package plugins

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"

	"google.golang.org/grpc"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// server is the plugin's end of the protocol. It holds the one model of the process, and
// checks requests and responses.
type server struct {
	pb.UnimplementedAdapterServer
	hello    *pb.Hello
	families []adapters.Family
	arenas   *arenas // nil if there are none

	mu       sync.Mutex
	loading  bool
	vision   adapters.VisionEncoder
	language adapters.LanguageModel
}

var _ pb.AdapterServer = (*server)(nil)

// Load opens the model. It refuses a second Load, because a process holds one model.
func (s *server) Load(req *pb.LoadRequest, stream grpc.ServerStreamingServer[pb.LoadEvent]) error {
	if err := stream.Send(&pb.LoadEvent{Part: &pb.LoadEvent_Hello{Hello: s.hello}}); err != nil {
		return err
	}
	spec, err := s.load(req, stream)
	if err != nil {
		return stream.Send(&pb.LoadEvent{Part: &pb.LoadEvent_Failure{Failure: wire.EncodeFailure("load", err)}})
	}
	return stream.Send(&pb.LoadEvent{Part: &pb.LoadEvent_Spec{Spec: spec}})
}

func (s *server) load(w *pb.LoadRequest, stream grpc.ServerStreamingServer[pb.LoadEvent]) (spec *pb.ModelSpec, err error) {
	defer recoverPanic(&err)
	family, err := s.family(w.Family)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	again := s.loading
	s.loading = true
	s.mu.Unlock()
	if again {
		return nil, adapters.Errorf(adapters.Invalid, "load was called a second time; a plugin process holds one model")
	}
	req := wire.DecodeLoadRequest(w)
	req.Progress = func(p adapters.Progress) {
		// A send fails only if the host is gone; then the lifeline ends the process.
		_ = stream.Send(&pb.LoadEvent{Part: &pb.LoadEvent_Progress{
			Progress: &pb.Progress{Stage: p.Stage, Done: p.Done, Total: p.Total},
		}})
	}
	return s.open(stream.Context(), family, req)
}

func (s *server) open(ctx context.Context, family adapters.Family, req *adapters.LoadRequest) (*pb.ModelSpec, error) {
	if family.Kind == adapters.KindVision {
		model, err := family.OpenVision(ctx, req)
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.vision = model
		return wire.EncodeVisionSpec(model.Spec()), nil
	}
	model, err := family.OpenLanguage(ctx, req)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.language = model
	return wire.EncodeLanguageSpec(model.Spec()), nil
}

// family returns the family with a name. An empty name means the only family of a plugin
// that serves one.
func (s *server) family(name string) (adapters.Family, error) {
	if name == "" && len(s.families) == 1 {
		return s.families[0], nil
	}
	var have []string
	for _, f := range s.families {
		if f.Name == name {
			return f, nil
		}
		have = append(have, f.Name)
	}
	return adapters.Family{}, adapters.Errorf(adapters.NotFound, "the plugin serves no family %q, it serves %q", name, have)
}

// close frees the model at the end of the process.
func (s *server) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.vision != nil {
		err = s.vision.Close()
	}
	if s.language != nil {
		err = errors.Join(err, s.language.Close())
	}
	s.vision, s.language = nil, nil
	return err
}

func (s *server) visionModel() (adapters.VisionEncoder, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.vision == nil {
		return nil, adapters.Errorf(adapters.Invalid, "no vision encoder is loaded")
	}
	return s.vision, nil
}

func (s *server) languageModel() (adapters.LanguageModel, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.language == nil {
		return nil, adapters.Errorf(adapters.Invalid, "no language model is loaded")
	}
	return s.language, nil
}

// callStream is the plugin's end of a call's stream.
type callStream = grpc.BidiStreamingServer[pb.Call, pb.Reply]

// call is one request that the plugin handles.
type call struct {
	stream callStream
	first  *pb.Call // the first message
	in     wire.Inbound
	out    wire.Outbound
	lease  *lease // nil if the host has sent none
}

// receive receives the request's tensors and the end of the request.
func (c *call) receive() error {
	if err := c.receiveTensors(); err != nil {
		return err
	}
	if m, err := c.stream.Recv(); err == nil {
		return wire.ProtocolErrorf("got %T after the last chunk", m.Part)
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func (c *call) receiveTensors() error {
	return c.in.Receive(func() (*pb.Chunk, error) {
		m, err := c.stream.Recv()
		if err != nil {
			return nil, err
		}
		if m.GetChunk() == nil {
			return nil, wire.ProtocolErrorf("got %T, want a chunk", m.Part)
		}
		return m.GetChunk(), nil
	})
}

// receiveCanceled returns a channel with the examples that the host cancels, of n. It is called
// after [call.receiveTensors], and receives until the call ends.
func (c *call) receiveCanceled(n int, before []uint32) <-chan int {
	out, sent := make(chan int, n), map[uint32]bool{} // room for each example once: a send never blocks
	send := func(examples []uint32) {
		for _, i := range examples {
			if int(i) < n && !sent[i] {
				sent[i] = true
				out <- int(i)
			}
		}
	}
	send(before)
	go func() {
		for {
			m, err := c.stream.Recv()
			if err != nil {
				return
			}
			send(m.GetCancel().GetExamples()) // none in a message of another kind
		}
	}()
	return out
}

// serveCall runs one call. It sends the reply that handle returns, with its tensors, or
// handle's error as a failure of operation op.
func serveCall(arenas *arenas, stream callStream, op string, handle func(ctx context.Context, c *call) (*pb.Reply, error)) error {
	c := &call{stream: stream}
	defer c.release()
	reply, err := c.run(arenas, handle)
	if err != nil {
		var broken *wire.ProtocolError
		if errors.As(err, &broken) {
			err = adapters.Errorf(adapters.Invalid, "the request breaks the protocol: %w", err)
		}
		return stream.Send(&pb.Reply{Part: &pb.Reply_Failure{Failure: wire.EncodeFailure(op, err)}})
	}
	if err := stream.Send(reply); err != nil {
		return err
	}
	return c.out.Deliver(func(chunk *pb.Chunk) error {
		return stream.Send(&pb.Reply{Part: &pb.Reply_Chunk{Chunk: chunk}})
	})
}

func (c *call) run(arenas *arenas, handle func(ctx context.Context, c *call) (*pb.Reply, error)) (reply *pb.Reply, err error) {
	defer recoverPanic(&err)
	c.first, err = c.stream.Recv()
	if err != nil {
		return nil, wire.ProtocolErrorf("the call has no request: %v", err)
	}
	if arenas != nil && c.first.Lease != nil {
		if c.lease, err = arenas.begin(c.first.Lease); err != nil {
			return nil, err
		}
		c.in.Shared, c.out.Shared = c.lease, c.lease
	}
	return handle(c.stream.Context(), c)
}

// release ends the call's lease.
func (c *call) release() {
	if c.lease != nil {
		c.lease.end()
	}
}

// Settle answers the RPC of that name.
func (s *server) Settle(ctx context.Context, req *pb.SettleRequest) (*pb.SettleResponse, error) {
	if s.arenas == nil {
		return s.UnimplementedAdapterServer.Settle(ctx, req)
	}
	return &pb.SettleResponse{}, s.arenas.settle(ctx, req.Generations)
}

// recoverPanic turns a panic of an adapter into an error of kind Internal, and writes the
// stack to the log.
func recoverPanic(err *error) {
	if r := recover(); r != nil {
		fmt.Fprintf(os.Stderr, "panic: %v\n%s", r, debug.Stack())
		*err = adapters.Errorf(adapters.Internal, "panic in the adapter: %v", r).
			WithRemedy("this is a bug in the adapter: the plugin's log shows where")
	}
}

// adapterFault returns the failed check of a response as a bug of the adapter.
func adapterFault(err error) error {
	if err == nil {
		return nil
	}
	return adapters.Errorf(adapters.Internal, "the adapter broke the contract: %v", err).
		WithRemedy("this is a bug in the adapter: report it to its author")
}
