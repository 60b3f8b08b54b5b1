package plugins

import (
	"context"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	goplugin "github.com/hashicorp/go-plugin"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

// This file has the plugins of the tests in arena_process_test.go, which misuse
// what the host has lent them.

const gateKey = "BRIDGE_TEST_GATE" // a file whose appearance lets a plugin go on

// runTransportMode serves a plugin that is about transport and ends the process,
// or returns where mode is another's.
func runTransportMode(mode string) {
	serveAs := func(wrap func(*server) pb.AdapterServer) {
		err := serve(func(onLoad func()) (map[int]goplugin.PluginSet, func() error) {
			arenas := mapArenas()
			s := &server{hello: &pb.Hello{Name: mode, Version: "1.2.3", Capabilities: arenas.capabilities()},
				families: []adapters.Family{soundFamily(mode)}, onLoad: onLoad, arenas: arenas}
			return versions(wrap(s)), s.close
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	switch mode {
	case "echo":
		serveEcho()
	case "lying":
		serveAs(func(s *server) pb.AdapterServer { return &lyingServer{s} })
	case "late":
		serveAs(func(s *server) pb.AdapterServer { return &lateServer{s} })
	case "deaf":
		serveAs(func(s *server) pb.AdapterServer { return &deafServer{s} })
	case "hostile":
		done := attack(os.Getenv(arenasKey))
		family := soundFamily(mode)
		family.OpenLanguage = func(context.Context, *adapters.LoadRequest) (adapters.LanguageModel, error) {
			return adaptertest.NewFakeLanguage("did: "+strings.Join(append(done, heirlooms()...), ", "), 1), nil
		}
		Serve(family)
	case "no arenas":
		os.Setenv(arenasKey, "77:4096,78:4096")
	case "unsound":
		Serve(soundFamily(mode), adapters.Family{Name: "vision", Kind: adapters.KindVision,
			OpenVision: func(_ context.Context, req *adapters.LoadRequest) (adapters.VisionEncoder, error) {
				return unsoundVision{adaptertest.NewFakeVision(req.ID, 1)}, nil
			}})
	}
}

func soundFamily(mode string) adapters.Family {
	return adapters.Family{Name: "language", Kind: adapters.KindLanguage,
		OpenLanguage: func(_ context.Context, req *adapters.LoadRequest) (adapters.LanguageModel, error) {
			if mode == "unsound" {
				return unsoundLanguage{adaptertest.NewFakeLanguage(req.ID, 1)}, nil
			}
			return adaptertest.NewFakeLanguage(req.ID, 1), nil
		}}
}

// lies are what a lyingServer does to the answer of a Loss whose first target
// names it. They get the announced gradient and the stream, for chunks.
func lies() map[string]func(g *pb.Tensor, send func(*pb.Chunk)) {
	chunk := func(send func(*pb.Chunk), offset uint64, n int) {
		send(&pb.Chunk{Offset: offset, Data: make([]byte, n)})
	}
	return map[string]func(g *pb.Tensor, send func(*pb.Chunk)){
		"offset at the end":      func(g *pb.Tensor, _ func(*pb.Chunk)) { g.Handle.Offset += g.Nbytes / alignment * alignment },
		"offset before":          func(g *pb.Tensor, _ func(*pb.Chunk)) { g.Handle.Offset = 0 },
		"offset of another":      func(g *pb.Tensor, _ func(*pb.Chunk)) { g.Handle.Offset -= alignment },
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
		"the host's own arena":   func(g *pb.Tensor, _ func(*pb.Chunk)) { g.Handle.Arena = arenaToPlugin },
		"no such arena":          func(g *pb.Tensor, _ func(*pb.Chunk)) { g.Handle.Arena = 3 },
		"no chunks":              func(g *pb.Tensor, _ func(*pb.Chunk)) { g.Handle = nil },
		"a short chunk":          func(g *pb.Tensor, send func(*pb.Chunk)) { g.Handle = nil; chunk(send, 0, 64) },
		"a long chunk":           func(g *pb.Tensor, send func(*pb.Chunk)) { g.Handle = nil; chunk(send, 0, int(g.Nbytes)+1) },
		"an oversize chunk":      func(g *pb.Tensor, send func(*pb.Chunk)) { g.Handle = nil; chunk(send, 0, maxChunkBytes+1) },
		"a duplicate chunk": func(g *pb.Tensor, send func(*pb.Chunk)) {
			g.Handle = nil
			chunk(send, 0, 64)
			chunk(send, 0, 64)
		},
		"a chunk after a handle": func(g *pb.Tensor, send func(*pb.Chunk)) { chunk(send, 0, 64) },
	}
}

// lyingServer serves Loss honestly and then lies about where the gradient is.
type lyingServer struct{ *server }

func (s *lyingServer) Loss(stream callStream) error {
	return s.server.Loss(&lyingStream{callStream: stream})
}

type lyingStream struct {
	callStream
	lie string
}

func (s *lyingStream) Recv() (*pb.Call, error) {
	c, err := s.callStream.Recv()
	if examples := c.GetLoss().GetExamples(); len(examples) > 0 {
		s.lie = examples[0].Target
	}
	return c, err
}

func (s *lyingStream) Send(r *pb.Reply) error {
	var after []*pb.Chunk
	if lie := lies()[s.lie]; lie != nil && r.GetLoss() != nil {
		lie(r.GetLoss().Gradient, func(c *pb.Chunk) { after = append(after, c) })
	}
	err := s.callStream.Send(r)
	for _, c := range after {
		if err == nil {
			err = s.callStream.Send(&pb.Reply{Part: &pb.Reply_Chunk{Chunk: c}})
		}
	}
	return err
}

// lateServer heeds no cancellation of a Loss that wants a gradient: once it may
// go on it writes all over its lease, as a slow adapter would.
type lateServer struct{ *server }

func (s *lateServer) Loss(stream callStream) error {
	return answer(s.arenas, stream, "loss", func(_ context.Context, c *call) (*pb.Reply, error) {
		lease := c.lease.answer.in(s.arenas.out)
		fmt.Fprintln(os.Stderr, "at it")
		for half := len(lease) / 2; ; {
			for i := range lease[:half] {
				lease[i] = 0xff
			}
			if _, err := os.Stat(os.Getenv(gateKey)); err == nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		for i := range lease {
			lease[i] = 0xff
		}
		return nil, adapters.Errorf(adapters.Canceled, "too late")
	})
}

// deafServer does not know Settle, and answers every Loss with a failure.
type deafServer struct{ *server }

func (s *deafServer) Settle(ctx context.Context, req *pb.SettleRequest) (*pb.SettleResponse, error) {
	return s.UnimplementedAdapterServer.Settle(ctx, req)
}

func (s *deafServer) Loss(stream callStream) error {
	return answer(s.arenas, stream, "loss", func(context.Context, *call) (*pb.Reply, error) {
		return nil, adapters.Errorf(adapters.Unsupported, "no loss")
	})
}

// heirlooms are the memory files that a child of the plugin would inherit.
func heirlooms() (left []string) {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		fd, _ := strconv.Atoi(e.Name())
		target, _ := os.Readlink("/proc/self/fd/" + e.Name())
		flags, err := unix.FcntlInt(uintptr(fd), syscall.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 && strings.Contains(target, "memfd") {
			left = append(left, "bequeath "+target)
		}
	}
	return left
}

// unsoundLanguage gives numbers that are none, where the first target asks for it.
type unsoundLanguage struct{ *adaptertest.FakeLanguage }

func (m unsoundLanguage) Loss(ctx context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	resp, err := m.FakeLanguage.Loss(ctx, req)
	if err != nil {
		return nil, err
	}
	what, value, _ := strings.Cut(req.Examples[0].Target, " ")
	bad, _ := strconv.ParseFloat(value, 32)
	switch what {
	case "loss":
		resp.Loss[len(resp.Loss)-1] = float32(bad)
	case "gradient":
		shape := resp.Gradient.Shape
		resp.Gradient.Float32s()[(shape[1]+2)*shape[2]+3] = float32(bad)
	}
	return resp, nil
}

func (m unsoundLanguage) Score(ctx context.Context, req *adapters.ScoreRequest) (*adapters.ScoreResponse, error) {
	resp, err := m.FakeLanguage.Score(ctx, req)
	if err == nil {
		resp.Scores.Float32s()[0] = float32(math.NaN())
	}
	return resp, err
}

func (m unsoundLanguage) EmbedTokens(ctx context.Context, req *adapters.EmbedTokensRequest) (*adapters.EmbedTokensResponse, error) {
	resp, err := m.FakeLanguage.EmbedTokens(ctx, req)
	if err == nil {
		resp.Embeddings.Float32s()[0] = float32(math.Inf(-1))
	}
	return resp, err
}

type unsoundVision struct{ *adaptertest.FakeVision }

func (m unsoundVision) Encode(ctx context.Context, req *adapters.EncodeRequest) (*adapters.EncodeResponse, error) {
	resp, err := m.FakeVision.Encode(ctx, req)
	if err == nil {
		resp.Features.Float32s()[4] = float32(math.Inf(1))
	}
	return resp, err
}
