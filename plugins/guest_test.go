package plugins

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	goplugin "github.com/hashicorp/go-plugin"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

const (
	modeKey   = "BRIDGE_TEST_MODE"
	onceKey   = "BRIDGE_TEST_ONCE" // a file whose absence lets a mode misbehave once
	secretKey = "BRIDGE_TEST_SECRET"
)

// TestMain makes the test binary its own plugin, in the mode that the
// environment names, and its own host.
func TestMain(m *testing.M) {
	switch mode := os.Getenv(modeKey); mode {
	case "":
		os.Exit(m.Run())
	case "host":
		runHost("hang at loss")
	case "host, stray":
		runHost("stray at load")
	default:
		runPlugin(mode)
	}
}

// runPlugin is the plugin's main function.
func runPlugin(mode string) {
	if line, ok := strings.CutPrefix(mode, "greets "); ok {
		greetWith(line)
	}
	if list, ok := strings.CutPrefix(mode, "versions "); ok {
		endWith(serveVersions(list))
	}
	runTransportMode(mode)
	switch mode {
	case "noise before":
		fmt.Println("a library says hello on stdout")
		fmt.Println(strings.Repeat("x", 1<<20))
	case "mute":
		time.Sleep(time.Hour)
	case "slow start":
		for range 40 { // busy all the time
			fmt.Fprintln(os.Stderr, "importing")
			time.Sleep(10 * time.Millisecond)
		}
	case "closes stdout":
		os.Stdout.Close()
		time.Sleep(time.Hour)
	case "eater":
		eat()
	case "exit":
		fmt.Fprintln(os.Stderr, "cannot find libfake.so")
		os.Exit(3)
	case "lie":
		endWith(serve(func(func()) (map[int]goplugin.PluginSet, func() error) {
			return versions(&liar{}), func() error { return nil }
		}))
	case "by hand":
		endWith(serveByHand())
	}
	Serve(fakeFamilies(mode)...)
}

func endWith(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// fakeFamilies are the fakes that behave as mode says.
func fakeFamilies(mode string) []adapters.Family {
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
				return &moody{FakeLanguage: adaptertest.NewFakeLanguage(id, 1), mode: mode}, nil
			}},
		{Name: "vision", Kind: adapters.KindVision,
			OpenVision: func(_ context.Context, req *adapters.LoadRequest) (adapters.VisionEncoder, error) {
				return &moodyVision{FakeVision: adaptertest.NewFakeVision(req.ID, 1), mode: mode}, nil
			}},
	}
}

// once reports true the first time that it is called in any of the processes.
func once() bool {
	f, err := os.OpenFile(os.Getenv(onceKey), os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// rude is what a terminal would obey.
const rude = "\x1b[2Jall is well\r"

func kill() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL); select {} }

// misbehave does what mode says of the place that the plugin has come to.
func misbehave(mode, place string, req *adapters.LoadRequest) error {
	switch mode {
	case "crash once at " + place:
		if once() {
			fmt.Fprintln(os.Stderr, "dying at", place)
			kill()
		}
	case "crash at " + place:
		fmt.Fprintln(os.Stderr, "dying at", place)
		kill()
	case "dies otherwise at " + place:
		if once() {
			fmt.Fprintln(os.Stderr, "the first time")
			os.Exit(7)
		}
		return misbehave("crash at "+place, place, req)
	case "exit at " + place:
		fmt.Fprintln(os.Stderr, "leaving at", place)
		os.Exit(7)
	case "rude at " + place:
		if once() {
			fmt.Fprint(os.Stderr, rude+"\n")
			kill()
		}
		return adapters.Errorf(adapters.Corrupt, "%s", rude).WithOp(rude).WithField(rude).WithRemedy("%s", rude)
	case "panic at " + place:
		panic("on purpose")
	case "long story at " + place:
		tell(2000)
		return adapters.Errorf(adapters.Internal, "on purpose")
	case "long story, death at " + place:
		tell(2000)
		kill()
	case "panic of a goroutine at " + place:
		go dig(20)
		select {}
	case "fail at " + place:
		return adapters.Errorf(adapters.Corrupt, "bad tensor: %w", os.ErrInvalid).WithOp("reading").WithField("model.safetensors: wte").WithRemedy("download it again")
	case "noise at " + place:
		fmt.Println("go print")
		line := strings.Repeat("y", 1<<20) + "\n"
		for range 3 {
			if _, err := syscall.Write(1, []byte(line)); err != nil {
				return err
			}
		}
	case "hang once at " + place:
		if once() {
			select {}
		}
	case "stray at " + place:
		return stray()
	case "eat at " + place:
		eat()
	case "eat once at " + place:
		if once() {
			eat()
		}
	case "a child eats at " + place:
		return eatInAChild(false)
	case "a stray eats at " + place:
		return eatInAChild(true)
	case "tells limits":
		if place != "load" {
			return tellLimits()
		}
	case "logs":
		for i, name := range []string{"TRACE", "DEBUG", "INFO", "WARN"} {
			Logger().Log(context.Background(), LevelTrace+slog.Level(4*i), "said at "+name)
		}
	case "slow at " + place:
		for i := range 5 {
			req.Report("weights", int64(i+1), 5)
			time.Sleep(50 * time.Millisecond)
		}
	}
	return nil
}

// tell prints what an error has to show of, and more than it can.
func tell(lines int) {
	for i := range lines {
		fmt.Fprintf(os.Stderr, "  File \"model.py\", line %d\n", i)
	}
	fmt.Fprintln(os.Stderr, "ValueError: the last word")
}

// dig panics where the stack is deep.
func dig(depth int) {
	if depth == 0 {
		panic("deep down")
	}
	dig(depth - 1)
}

// moody is the fake with a mode.
type moody struct {
	*adaptertest.FakeLanguage
	mode string
}

func (m *moody) Loss(ctx context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	switch m.mode {
	case "hang at loss", "stray at load":
		select {} // an adapter that heeds no context
	case "secret":
		_, leaked := os.LookupEnv(secretKey)
		return nil, adapters.Errorf(adapters.NotFound, "leaked %v, given %q, backend %q", leaked,
			os.Getenv("BRIDGE_TEST_GIVEN"), os.Getenv("GOMLX_BACKEND"))
	}
	if err := misbehave(m.mode, "loss", nil); err != nil {
		return nil, err
	}
	return m.FakeLanguage.Loss(ctx, req)
}

func (m *moody) Generate(ctx context.Context, req *adapters.GenerateRequest,
	emit func(adapters.Piece) error) (*adapters.GenerateResponse, error) {
	if m.mode == "crash once at generate" {
		pieces := 0
		return m.FakeLanguage.Generate(ctx, req, func(p adapters.Piece) error {
			if pieces++; pieces == 4 && once() {
				time.Sleep(50 * time.Millisecond) // the pieces before are on their way
				kill()
			}
			return emit(p)
		})
	}
	return m.FakeLanguage.Generate(ctx, req, emit)
}

func (m *moody) Score(ctx context.Context, req *adapters.ScoreRequest) (*adapters.ScoreResponse, error) {
	if err := misbehave(m.mode, "score", nil); err != nil {
		return nil, err
	}
	return m.FakeLanguage.Score(ctx, req)
}

func (m *moody) EmbedTokens(ctx context.Context, req *adapters.EmbedTokensRequest) (*adapters.EmbedTokensResponse, error) {
	if err := misbehave(m.mode, "embed", nil); err != nil {
		return nil, err
	}
	return m.FakeLanguage.EmbedTokens(ctx, req)
}

func (m *moody) CountTokens(ctx context.Context, texts []string) ([]int32, error) {
	if err := misbehave(m.mode, "count", nil); err != nil {
		return nil, err
	}
	return m.FakeLanguage.CountTokens(ctx, texts)
}

type moodyVision struct {
	*adaptertest.FakeVision
	mode string
}

func (m *moodyVision) Encode(ctx context.Context, req *adapters.EncodeRequest) (*adapters.EncodeResponse, error) {
	if err := misbehave(m.mode, "encode", nil); err != nil {
		return nil, err
	}
	return m.FakeVision.Encode(ctx, req)
}

// liar announces a gradient of the wrong shape.
type liar struct{ pb.UnimplementedAdapterServer }

func (*liar) Load(_ *pb.LoadRequest, stream pb.Adapter_LoadServer) error {
	spec := languageSpecToWire(adaptertest.NewFakeLanguage("liar", 1).Spec())
	return stream.Send(&pb.LoadEvent{Part: &pb.LoadEvent_Spec{Spec: spec}})
}

func (*liar) Loss(stream callStream) error {
	return answer(nil, stream, "loss", func(_ context.Context, c *call) (*pb.Reply, error) {
		gradient := c.out.announce(adapters.NewTensor(adapters.Float32, 1, 1, 1))
		return &pb.Reply{Part: &pb.Reply_Loss{Loss: &pb.LossResponse{Loss: []float32{1}, Tokens: []int32{1}, Gradient: gradient}}}, nil
	})
}
