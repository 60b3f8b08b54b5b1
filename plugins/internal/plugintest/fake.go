package plugintest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/plugins"
)

// families are the fakes that misbehave as mode says.
func families(mode string) []adapters.Family {
	return []adapters.Family{
		{Name: "language", Kind: adapters.KindLanguage,
			OpenLanguage: func(_ context.Context, req *adapters.LoadRequest) (adapters.LanguageModel, error) {
				if err := misbehave(mode, "load", req); err != nil {
					return nil, err
				}
				id := req.ID
				if mode == "changed" && !once() {
					id = "another"
				}
				return &language{FakeLanguage: adaptertest.NewFakeLanguage(id, 1), mode: mode}, nil
			}},
		{Name: "vision", Kind: adapters.KindVision,
			OpenVision: func(_ context.Context, req *adapters.LoadRequest) (adapters.VisionEncoder, error) {
				return &vision{FakeVision: adaptertest.NewFakeVision(req.ID, 1), mode: mode}, nil
			}},
	}
}

// controls are characters that a terminal would obey.
const controls = "\x1b[2Jall is well\r"

func die() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL); select {} }

// misbehave does what mode says for a place in the code.
func misbehave(mode, place string, req *adapters.LoadRequest) error {
	switch mode {
	case "noise at " + place:
		return printNoise()
	case "detached child at " + place:
		return startDetached()
	case "allocate at " + place:
		allocate()
	case "allocate once at " + place:
		if once() {
			allocate()
		}
	case "a child allocates at " + place:
		return allocateInChild(false)
	case "a detached child allocates at " + place:
		return allocateInChild(true)
	case "report limits":
		if place != "load" {
			return reportLimits()
		}
	case "log":
		for i, name := range []string{"TRACE", "DEBUG", "INFO", "WARN"} {
			plugins.Logger().Log(context.Background(), plugins.LevelTrace+slog.Level(4*i), "said at "+name)
		}
	case "slow at " + place:
		for i := range 5 {
			req.Report("weights", int64(i+1), 5)
			time.Sleep(10 * time.Millisecond)
		}
	case "hang once at " + place:
		if once() {
			select {}
		}
	}
	return fail(mode, place)
}

// fail ends the process or returns an error, as mode says for a place in the code.
func fail(mode, place string) error {
	switch mode {
	case "crash once at " + place:
		if once() {
			fmt.Fprintln(os.Stderr, "dying at", place)
			die()
		}
	case "crash at " + place:
		fmt.Fprintln(os.Stderr, "dying at", place)
		die()
	case "exit, then crash at " + place:
		if once() {
			fmt.Fprintln(os.Stderr, "the first time")
			os.Exit(7)
		}
		return fail("crash at "+place, place)
	case "exit at " + place:
		fmt.Fprintln(os.Stderr, "leaving at", place)
		os.Exit(7)
	case "control characters at " + place:
		if once() {
			fmt.Fprint(os.Stderr, controls+"\n")
			die()
		}
		return adapters.Errorf(adapters.Corrupt, "%s", controls).WithOp(controls).WithField(controls).WithRemedy("%s", controls)
	case "panic at " + place:
		panic("on purpose")
	case "long output at " + place:
		printTraceback(2000)
		return adapters.Errorf(adapters.Internal, "on purpose")
	case "long output, death at " + place:
		printTraceback(2000)
		die()
	case "panic of a goroutine at " + place:
		go dig(20)
		select {}
	case "fail at " + place:
		return adapters.Errorf(adapters.Corrupt, "bad tensor: %w", os.ErrInvalid).WithOp("reading").WithField("model.safetensors: wte").WithRemedy("download it again")
	}
	return nil
}

// printNoise prints on the process's file descriptor 1, as a library would.
func printNoise() error {
	fmt.Println("go print")
	line := strings.Repeat("y", 1<<20) + "\n"
	for range 3 {
		if _, err := syscall.Write(1, []byte(line)); err != nil {
			return err
		}
	}
	return nil
}

// printTraceback prints more lines than an error has room for.
func printTraceback(lines int) {
	for i := range lines {
		fmt.Fprintf(os.Stderr, "  File \"model.py\", line %d\n", i)
	}
	fmt.Fprintln(os.Stderr, "ValueError: the last word")
}

// dig panics with a deep stack.
func dig(depth int) {
	if depth == 0 {
		panic("deep down")
	}
	dig(depth - 1)
}

func reportLimits() error {
	devices, ok := os.LookupEnv("CUDA_VISIBLE_DEVICES")
	return adapters.Errorf(adapters.NotFound, "devices %s %v, threads %s, memory %s;", devices, ok, os.Getenv("OMP_NUM_THREADS"), os.Getenv("GOMEMLIMIT"))
}

// language is the fake with a mode.
type language struct {
	*adaptertest.FakeLanguage
	mode string
}

func (m *language) Loss(ctx context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	switch m.mode {
	case "hang at loss", "detached child at load":
		select {} // an adapter that ignores its context
	case "late": // another one, which answers once it may
		fmt.Fprintln(os.Stderr, "in the call")
		for {
			if _, err := os.Stat(os.Getenv(GateKey)); err == nil {
				return m.FakeLanguage.Loss(context.WithoutCancel(ctx), req)
			}
			time.Sleep(time.Millisecond)
		}
	case "secret":
		_, leaked := os.LookupEnv(SecretKey)
		return nil, adapters.Errorf(adapters.NotFound, "leaked %v, given %q, backend %q", leaked,
			os.Getenv("BRIDGE_TEST_GIVEN"), os.Getenv("GOMLX_BACKEND"))
	}
	if err := misbehave(m.mode, "loss", nil); err != nil {
		return nil, err
	}
	return m.FakeLanguage.Loss(ctx, req)
}

func (m *language) Generate(ctx context.Context, req *adapters.GenerateRequest,
	emit func(adapters.Piece) error) (*adapters.GenerateResponse, error) {
	if m.mode == "crash once at generate" {
		pieces := 0
		return m.FakeLanguage.Generate(ctx, req, func(p adapters.Piece) error {
			if pieces++; pieces == 4 && once() {
				time.Sleep(50 * time.Millisecond) // until the pieces before are with the host
				die()
			}
			return emit(p)
		})
	}
	return m.FakeLanguage.Generate(ctx, req, emit)
}

func (m *language) Score(ctx context.Context, req *adapters.ScoreRequest) (*adapters.ScoreResponse, error) {
	if err := misbehave(m.mode, "score", nil); err != nil {
		return nil, err
	}
	return m.FakeLanguage.Score(ctx, req)
}

func (m *language) EmbedTokens(ctx context.Context, req *adapters.EmbedTokensRequest) (*adapters.EmbedTokensResponse, error) {
	if err := misbehave(m.mode, "embed", nil); err != nil {
		return nil, err
	}
	return m.FakeLanguage.EmbedTokens(ctx, req)
}

func (m *language) CountTokens(ctx context.Context, texts []string) ([]int32, error) {
	if err := misbehave(m.mode, "count", nil); err != nil {
		return nil, err
	}
	return m.FakeLanguage.CountTokens(ctx, texts)
}

// vision is the fake with a mode.
type vision struct {
	*adaptertest.FakeVision
	mode string
}

func (m *vision) Encode(ctx context.Context, req *adapters.EncodeRequest) (*adapters.EncodeResponse, error) {
	if err := misbehave(m.mode, "encode", nil); err != nil {
		return nil, err
	}
	return m.FakeVision.Encode(ctx, req)
}
