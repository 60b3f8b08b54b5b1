package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

// sloppy is a plugin without an SDK, as somebody writes one in another language. It has its
// own end of the arenas, with one fault. It serves Load, Loss and Settle.
type sloppy struct {
	goplugin.NetRPCUnsupportedPlugin
	pb.UnimplementedAdapterServer
	mode    string
	model   *adaptertest.FakeLanguage
	in, out []byte

	mu      sync.Mutex
	running map[uint64]chan struct{}
	settled map[uint64]bool
}

// sloppyMode is the prefix of this plugin's modes of the test binary.
const sloppyMode = "sloppy: "

func runSloppy(mode string) {
	s := &sloppy{mode: mode, model: adaptertest.NewFakeLanguage("tiny", 1), running: map[uint64]chan struct{}{}, settled: map[uint64]bool{}}
	if value := os.Getenv("BRIDGE_ARENAS"); value != "" {
		s.in, s.out = mapped(value)
	}
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig:  goplugin.HandshakeConfig{MagicCookieKey: "BRIDGE_PLUGIN", MagicCookieValue: os.Getenv("BRIDGE_PLUGIN")},
		VersionedPlugins: map[int]goplugin.PluginSet{1: {"adapter": s}},
		GRPCServer:       goplugin.DefaultGRPCServer,
	})
}

func mapped(value string) (in, out []byte) {
	var fd, size [2]int
	if _, err := fmt.Sscanf(value, "%d:%d,%d:%d", &fd[0], &size[0], &fd[1], &size[1]); err != nil {
		panic(err)
	}
	in, err := unix.Mmap(fd[0], 0, size[0], unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	out, err = unix.Mmap(fd[1], 0, size[1], unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	return in, out
}

func (s *sloppy) GRPCServer(_ *goplugin.GRPCBroker, server *grpc.Server) error {
	pb.RegisterAdapterServer(server, s)
	return nil
}

func (s *sloppy) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("it is no host")
}

func (s *sloppy) Load(_ *pb.LoadRequest, stream grpc.ServerStreamingServer[pb.LoadEvent]) error {
	spec := s.model.Spec()
	hello := &pb.Hello{Name: "sloppy", Version: "1.0.0", Capabilities: []string{"arenas"}}
	if s.mode == "no capability" {
		hello.Capabilities = nil
	}
	if err := stream.Send(&pb.LoadEvent{Part: &pb.LoadEvent_Hello{Hello: hello}}); err != nil {
		return err
	}
	return stream.Send(&pb.LoadEvent{Part: &pb.LoadEvent_Spec{Spec: &pb.ModelSpec{
		Id: "tiny", Kind: string(adapters.KindLanguage), Width: int64(spec.Width), Capabilities: []string{string(adapters.CapGradient)},
		Language: &pb.LanguagePart{TokenNorm: spec.TokenNorm, ContextTokens: int64(spec.ContextTokens)}}}})
}

func (s *sloppy) Loss(stream grpc.BidiStreamingServer[pb.Call, pb.Reply]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	reply, chunks, err := s.loss(first, stream)
	if err != nil {
		message := err.Error()
		if s.mode == "says where memory is" {
			message += " (memfd:bridge)"
		}
		kind := adapters.Invalid
		if s.mode == "another kind" {
			kind = adapters.Internal
		}
		return stream.Send(&pb.Reply{Part: &pb.Reply_Failure{Failure: &pb.Failure{Kind: uint32(kind), Op: "loss", Message: message}}})
	}
	if err := stream.Send(reply); err != nil || len(chunks) == 0 {
		return err
	}
	return stream.Send(&pb.Reply{Part: &pb.Reply_Chunk{Chunk: &pb.Chunk{Data: chunks}}})
}

// loss computes the reply. chunks are the bytes that do not fit into the lease.
func (s *sloppy) loss(first *pb.Call, stream grpc.BidiStreamingServer[pb.Call, pb.Reply]) (_ *pb.Reply, chunks []byte, err error) {
	l := first.Lease
	if l != nil {
		if err := s.enter(l); err != nil {
			return nil, nil, err
		}
		defer s.leave(l)
	}
	req := &adapters.LossRequest{Gradient: first.GetLoss().GetGradient()}
	if req.Prompts, err = s.prompts(first.GetLoss().GetPrompts(), l, stream); err != nil {
		return nil, nil, err
	}
	for _, e := range first.GetLoss().Examples {
		example := adapters.Example{Target: e.Target}
		for _, part := range e.Segments {
			if text, ok := part.Part.(*pb.Segment_Text); ok {
				example.Segments = append(example.Segments, adapters.TextSegment(text.Text))
			} else {
				example.Segments = append(example.Segments, adapters.PromptSegment(int(part.GetPrompt())))
			}
		}
		req.Examples = append(req.Examples, example)
	}
	resp, err := s.model.Loss(context.Background(), req)
	if err != nil {
		return nil, nil, err
	}
	if strings.HasPrefix(s.mode, "settles") {
		time.Sleep(100 * time.Millisecond) // so that a call can be given up meanwhile
	}
	out := &pb.LossResponse{Loss: resp.Loss, Tokens: resp.Tokens}
	if resp.Gradient != nil {
		out.Gradient, chunks = s.answer(resp.Gradient, l)
	}
	return &pb.Reply{Part: &pb.Reply_Loss{Loss: out}}, chunks, nil
}

func (s *sloppy) enter(l *pb.Lease) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	size := uint64(len(s.out))
	switch {
	case s.mode == "any lease":
	case l.Generation == 0, l.Offset%64 != 0, l.Offset > size, l.Nbytes > size-l.Offset && s.mode != "any size of a lease":
		return fmt.Errorf("the lease is none")
	case s.settled[l.Generation] && s.mode != "takes what was settled":
		return fmt.Errorf("the call was settled")
	case s.running[l.Generation] != nil && s.mode != "one generation twice":
		return fmt.Errorf("the generation runs")
	}
	s.running[l.Generation] = make(chan struct{})
	return nil
}

func (s *sloppy) leave(l *pb.Lease) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if left := s.running[l.Generation]; left != nil {
		close(left)
	}
	delete(s.running, l.Generation)
}

// prompts reads the request's tensor from the arena or from chunks.
func (s *sloppy) prompts(t *pb.Tensor, l *pb.Lease, stream grpc.BidiStreamingServer[pb.Call, pb.Reply]) (*adapters.Tensor, error) {
	n := uint64(4)
	for _, d := range t.Shape {
		if d > math.MaxUint32 || n > math.MaxUint32 {
			return nil, fmt.Errorf("the shape is too large")
		}
		n *= d
	}
	if t.Dtype != uint32(adapters.Float32) || n != t.Nbytes && s.mode != "any number of bytes" {
		return nil, fmt.Errorf("the tensor is none")
	}
	shape := make([]int, len(t.Shape))
	for i, d := range t.Shape {
		shape[i] = int(d)
	}
	tensor := adapters.NewTensor(adapters.Float32, shape...)
	if t.Handle != nil {
		part, err := s.find(t.Handle, n, l)
		if err != nil {
			return nil, err
		}
		copy(tensor.Data, part)
	}
	for got := 0; ; {
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF) && (t.Handle != nil || got == len(tensor.Data)):
			return tensor, nil
		case err != nil:
			return nil, fmt.Errorf("the tensor ends early: %w", err)
		case t.Handle != nil && s.mode != "chunks beside a handle":
			return nil, fmt.Errorf("a chunk of what is in the arena")
		}
		got += copy(tensor.Data[got:], m.GetChunk().GetData())
	}
}

// find checks a handle, except for the check that the mode omits.
func (s *sloppy) find(h *pb.Handle, n uint64, l *pb.Lease) ([]byte, error) {
	size := uint64(len(s.in))
	if l == nil {
		if s.mode == "a handle without a lease" {
			return s.in[h.Offset : h.Offset+n], nil
		}
		return nil, fmt.Errorf("a handle without a lease")
	}
	checks := map[string]bool{
		"any arena":      h.Arena != 1,
		"any slot":       h.Slot != l.Slot,
		"any generation": h.Generation != l.Generation,
		"any offset":     h.Offset%64 != 0,
	}
	for forgotten, wrong := range checks {
		if wrong && s.mode != forgotten {
			return nil, fmt.Errorf("the handle is wrong: all but %s", forgotten)
		}
	}
	if s.mode == "adds up" { // where the sum wraps around it is small
		if h.Offset+n <= size {
			return s.in[min(h.Offset, size-n):][:n], nil
		}
		return nil, fmt.Errorf("outside")
	}
	if h.Offset > size || n > size-h.Offset {
		switch s.mode {
		case "dies":
			os.Exit(3)
		case "takes what is there":
			return s.in[min(h.Offset, size):], nil
		}
		return nil, fmt.Errorf("outside")
	}
	if s.mode == "reads elsewhere" {
		h.Offset += 64
	}
	return s.in[h.Offset : h.Offset+n], nil
}

// answer copies a tensor to the lease, or returns it as a chunk.
func (s *sloppy) answer(t *adapters.Tensor, l *pb.Lease) (*pb.Tensor, []byte) {
	n := uint64(len(t.Data))
	ref := &pb.Tensor{Dtype: uint32(t.DType), Nbytes: n}
	for _, d := range t.Shape {
		ref.Shape = append(ref.Shape, uint64(d))
	}
	if l == nil || n > l.Nbytes || s.mode == "leaves the lease empty" {
		return ref, t.Data
	}
	at := l.Offset
	h := &pb.Handle{Arena: 2, Slot: l.Slot, Generation: l.Generation}
	switch s.mode {
	case "answers unaligned":
		at += 4
	case "answers beside the lease":
		at += l.Nbytes
	case "answers for another slot":
		h.Slot++
	case "answers other bits":
		t.Data[0] ^= 1
	}
	copy(s.out[at:], t.Data)
	if s.mode == "writes beside the lease" {
		s.out[l.Offset+l.Nbytes] = 0
	}
	h.Offset, ref.Handle = at, h
	return ref, nil
}

func (s *sloppy) Settle(ctx context.Context, req *pb.SettleRequest) (*pb.SettleResponse, error) {
	var wait []chan struct{}
	s.mu.Lock()
	for _, g := range req.Generations {
		if left := s.running[g]; left != nil {
			wait = append(wait, left)
		} else {
			s.settled[g] = true
		}
	}
	s.mu.Unlock()
	if s.mode == "settles at once" {
		return &pb.SettleResponse{}, nil
	}
	if s.mode == "settles never" {
		<-ctx.Done()
	}
	for _, left := range wait {
		<-left
	}
	return &pb.SettleResponse{}, nil
}

// The cases about shared memory find each fault of a plugin's own end, and no fault in one
// without.
func TestSloppyArenas(t *testing.T) {
	t.Parallel()
	for mode, fails := range map[string]struct {
		name    string // of the one case that it fails; empty: none
		message string
	}{
		"none at all": {"", ""},

		"leaves the lease empty":   {"arenas", "is not in the lease of"},
		"answers unaligned":        {"arenas", "aligned to 64"},
		"answers beside the lease": {"arenas", "the handle names 144 bytes"},
		"answers for another slot": {"arenas", "slot 1, generation"},
		"answers other bits":       {"arenas", "differs from that to chunks"},
		"writes beside the lease":  {"arenas", "bytes beside the lease"},
		"reads elsewhere":          {"arenas", "differs from that to chunks"},

		"any arena":                {"handles that lie", "a handle of no arena: answered"},
		"any slot":                 {"handles that lie", "a handle of another slot: answered"},
		"any generation":           {"handles that lie", "a handle of the call before: answered"},
		"any offset":               {"handles that lie", "a handle unaligned by a byte: answered"},
		"any number of bytes":      {"handles that lie", "a handle of fewer bytes: answered"},
		"adds up":                  {"handles that lie", "a handle whose end wraps around: answered"},
		"takes what is there":      {"handles that lie", "a handle at the arena's end: answered"},
		"dies":                     {"handles that lie", "the plugin died: exit status 3"},
		"a handle without a lease": {"handles that lie", "a handle without a lease: answered"},
		"chunks beside a handle":   {"handles that lie", "a handle and the same bytes as a chunk: answered"},

		"any size of a lease":    {"leases that lie", "a lease larger than the arena: answered"},
		"one generation twice":   {"leases that lie", "two calls of one generation run, and neither is refused"},
		"takes what was settled": {"calls that are settled", "a call that comes after it was settled: answered"},
		"settles at once":        {"calls that are settled", "writes to its lease after Settle has answered"},
		"settles never":          {"calls that are settled", "want an answer within"},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			r := sloppyReport(t, mode)
			for _, c := range r.Results {
				text := explanation(c)
				switch want := strings.HasSuffix(c.Name, ": "+fails.name) && fails.name != ""; {
				case want && (c.Verdict != adaptertest.Fail || !strings.Contains(text, fails.message)):
					t.Errorf("%s: %s, want a failure with %q:\n%s", c.Name, c.Verdict, fails.message, text)
				case !want && c.Verdict != adaptertest.Pass:
					t.Errorf("%s: %s:\n%s", c.Name, c.Verdict, text)
				}
			}
		})
	}
}

// A fault of every refusal fails each case that checks refusals. A plugin without the
// capability "arenas" is skipped.
func TestSloppyRefusals(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]struct {
		verdict adaptertest.Verdict
		message string
		cases   []string
	}{
		"says where memory is": {adaptertest.Fail, "says where memory is", []string{"handles that lie", "leases that lie", "calls that are settled"}},
		"another kind":         {adaptertest.Fail, `want kind "invalid"`, []string{"handles that lie", "leases that lie", "calls that are settled"}},
		"any lease":            {adaptertest.Fail, "", []string{"leases that lie", "calls that are settled"}},
		"no capability":        {adaptertest.Skip, "not among the capabilities of its hello", []string{"arenas", "handles that lie", "leases that lie", "calls that are settled"}},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			r := sloppyReport(t, mode)
			for _, c := range r.Results {
				name := strings.TrimPrefix(c.Name, "process: ")
				if is := slices.Contains(want.cases, name); is != (c.Verdict == want.verdict) || is && !strings.Contains(explanation(c), want.message) {
					t.Errorf("%s: %s:\n%s", c.Name, c.Verdict, explanation(c))
				}
			}
		})
	}
}

func sloppyReport(t *testing.T, mode string) *Report {
	t.Helper()
	o := options(t)
	o.Run, o.Patience = regexp.MustCompile("^process: (arenas|handles|leases|calls that are settled)"), 2
	want := 4
	switch mode { // these are waited for in vain
	case "settles never":
		o.Run, o.Patience, want = regexp.MustCompile("settled$"), 0.1, 1
	case "one generation twice":
		o.Run, o.Patience, want = regexp.MustCompile("^process: leases"), 0.1, 1
	}
	r := examine(t, target(t, sloppyMode+mode, adapters.KindLanguage), o)
	if len(r.Results) != want {
		t.Fatalf("%d results, want %d", len(r.Results), want)
	}
	return r
}
