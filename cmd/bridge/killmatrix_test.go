//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/stats"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/builtin"
	"github.com/modular-bridging/bridge/golden"
	"github.com/modular-bridging/bridge/internal/procfs"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/plugins/host"
)

// killPoint is a moment in which a process is killed: after the nth message of an RPC was sent
// or received. The RPC "start" is the start of the process.
type killPoint struct {
	rpc      string
	received bool
	nth      int
}

func (s killPoint) String() string {
	way := map[bool]string{false: "sent", true: "received"}[s.received]
	if s.rpc == "start" {
		return "start"
	}
	return fmt.Sprintf("%s, %s %d", s.rpc, way, s.nth)
}

// killer watches the messages between the host and a plugin, and kills the plugin at the
// points that are set. It works from outside, with any executable.
type killer struct {
	mu     sync.Mutex
	pid    int
	all    []procfs.Process
	points []killPoint // the next ones, in order
	kills  int
}

var _ stats.Handler = (*killer)(nil)

// setKillPoints sets the points at which to kill next, in order.
func (k *killer) setKillPoints(points ...killPoint) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.points, k.kills = points, 0
}

// killed returns how often the plugin was killed since setKillPoints.
func (k *killer) killed() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.kills
}

func (k *killer) started(pid int) {
	k.mu.Lock()
	k.pid = pid
	if p, err := procfs.Of(pid); err == nil { // an error means that the system has no /proc
		k.all = append(k.all, p)
	}
	k.mu.Unlock()
	k.reach(killPoint{rpc: "start"})
}

// reach kills the plugin if the point is the next one.
func (k *killer) reach(s killPoint) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.points) > 0 && k.points[0] == s {
		k.points, k.kills = k.points[1:], k.kills+1
		_ = syscall.Kill(k.pid, syscall.SIGKILL)
	}
}

// callProgress counts the messages of a call.
type callProgress struct {
	rpc            string
	mu             sync.Mutex
	sent, received int
}

type callProgressKey struct{}

func (k *killer) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, callProgressKey{}, &callProgress{rpc: filepath.Base(info.FullMethodName)})
}

func (k *killer) HandleRPC(ctx context.Context, event stats.RPCStats) {
	p, ok := ctx.Value(callProgressKey{}).(*callProgress)
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch event.(type) {
	case *stats.OutPayload:
		p.sent++
		k.reach(killPoint{p.rpc, false, p.sent})
	case *stats.InPayload:
		p.received++
		k.reach(killPoint{p.rpc, true, p.received})
	}
}

func (k *killer) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (k *killer) HandleConn(context.Context, stats.ConnStats)                       {}

// victim is an adapter that the test kills.
type victim struct {
	name      string
	kind      adapters.ModelKind
	transport host.Transport
	config    func(t *testing.T) host.Config
}

// victims returns the built-in families with their first golden folder, and the example
// adapters, each with both transports. The default form of the test has one family of each
// kind and two examples without torch, each with one transport. If torch is installed, the
// examples that need it are added, with both transports.
func victims() (all []victim) {
	for _, f := range builtin.Families() {
		if testenv.Long() || f.Name == "opt" || f.Name == "vit" {
			config := func(t *testing.T) host.Config { return builtinVictim(t, f.Name) }
			all = append(all, victim{name: f.Name, kind: f.Kind, config: config})
		}
	}
	all = append(all, victim{name: "adapter-go", kind: adapters.KindLanguage, config: exampleInGo},
		victim{name: "adapter-python-numpy", kind: adapters.KindLanguage, config: exampleInPython})
	if testenv.Long() {
		all = append(all, victim{name: "adapter-go-gomlx", kind: adapters.KindLanguage, config: exampleOnGoMLX},
			victim{name: "adapter-python-remote", kind: adapters.KindLanguage, config: exampleWithServer})
	}
	short := len(all)
	if os.Getenv(testenv.TorchVariable) != "" {
		language, vision := exampleWithTorch("adapter-python-hf", "opt"), exampleWithTorch("adapter-python-hf-vision", "vit")
		all = append(all, victim{name: "adapter-python-hf", kind: adapters.KindLanguage, config: language},
			victim{name: "adapter-python-hf-vision", kind: adapters.KindVision, config: vision})
	}
	var both []victim
	for i, v := range all {
		for j, transport := range []host.Transport{host.TransportAuto, host.TransportGRPC} {
			if testenv.Long() || i >= short || i%2 == j {
				v.transport = transport
				both = append(both, v)
			}
		}
	}
	return both
}

// firstGolden opens the first golden folder of a family.
func firstGolden(t *testing.T, family string) *golden.Folder {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join("..", "..", "adapters", family, "testdata", "golden-*"))
	if err != nil || len(folders) == 0 {
		t.Fatalf("no golden folder of %s: %v", family, err)
	}
	g, err := golden.Open(folders[0])
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func builtinVictim(t *testing.T, family string) host.Config {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return host.Config{Name: family, Path: self, Args: []string{"adapter", "serve", family}, Family: family,
		Load: *firstGolden(t, family).LoadRequest("go")}
}

func exampleInGo(t *testing.T) host.Config {
	t.Helper()
	program, checkpoint := buildExample(t, "adapter-go"), filepath.Join(t.TempDir(), "checkpoint")
	if out, err := exec.Command(program, "-init", checkpoint).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return host.Config{Path: program, Load: adapters.LoadRequest{Checkpoint: checkpoint}}
}

func exampleOnGoMLX(t *testing.T) host.Config {
	t.Helper()
	checkpoint := filepath.Join("..", "..", "examples", "adapter-go-gomlx", "checkpoint")
	return host.Config{Path: buildExample(t, "adapter-go-gomlx"), Load: adapters.LoadRequest{Checkpoint: checkpoint, Backend: "go"}}
}

func buildExample(t *testing.T, name string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), name)
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = filepath.Join("..", "..", "examples", name)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build, err, out)
	}
	return program
}

func exampleInPython(t *testing.T) host.Config {
	t.Helper()
	program := testenv.Program(t, testenv.Python(t), "examples/adapter-python-numpy/adapter.py")
	checkpoint := filepath.Join(t.TempDir(), "checkpoint")
	testenv.Run(t, program, "--init", checkpoint)
	return host.Config{Path: program, Load: adapters.LoadRequest{Checkpoint: checkpoint}}
}

// exampleWithServer returns the example whose model is behind a server. The server keeps
// running when the adapter dies.
func exampleWithServer(t *testing.T) host.Config {
	t.Helper()
	checkpoint, program := serveTinyLlama(t)
	return host.Config{Path: program, Load: adapters.LoadRequest{Checkpoint: checkpoint}}
}

// exampleWithTorch returns an example adapter with the checkpoint of a built-in family.
func exampleWithTorch(example, family string) func(t *testing.T) host.Config {
	return func(t *testing.T) host.Config {
		t.Helper()
		program := testenv.Program(t, testenv.Torch(t), "examples/"+example+"/adapter.py")
		return host.Config{Path: program, Load: *firstGolden(t, family).LoadRequest(""), Env: []string{"OMP_NUM_THREADS=1"}}
	}
}

// request is a call of an adapter, with the points at which the adapter is killed.
type request struct {
	rpc    string
	call   func(ctx context.Context) (any, error)
	points []killPoint
}

// killPoints returns points at the given messages of a call.
func killPoints(rpc string, sent, received []int) (all []killPoint) {
	for _, n := range sent {
		all = append(all, killPoint{rpc, false, n})
	}
	for _, n := range received {
		all = append(all, killPoint{rpc, true, n})
	}
	return all
}

// multiMessagePrompts returns prompts that are sent in several messages if tensors are sent in
// chunks. So is their gradient. The examples refer to two of the prompts.
func multiMessagePrompts(width int) *adapters.Tensor {
	const queries = 2
	prompts := adapters.NewTensor(adapters.Float32, 3<<20/(4*width*queries), queries, width)
	for i := range prompts.Float32s() {
		prompts.Float32s()[i] = float32(i%89)/89 - 0.5
	}
	return prompts
}

func languageRequests(m adapters.LanguageModel) []request {
	prompts := multiMessagePrompts(m.Spec().Width)
	examples := []adapters.Example{
		{Segments: []adapters.Segment{adapters.PromptSegment(1), adapters.TextSegment("a photo of")}, Target: " a dog"},
		{Segments: []adapters.Segment{adapters.PromptSegment(0)}, Target: "two cats"},
	}
	all := []request{
		{"Loss", func(ctx context.Context) (any, error) {
			return m.Loss(ctx, &adapters.LossRequest{Prompts: prompts, Examples: examples, Gradient: m.Spec().Has(adapters.CapGradient)})
		}, killPoints("Loss", []int{1, 2, 4}, []int{1, 2, 4})},
		{"Generate", func(ctx context.Context) (any, error) {
			var pieces []adapters.Piece
			resp, err := m.Generate(ctx, &adapters.GenerateRequest{Prompts: prompts, Examples: examples,
				Options: adapters.GenerateOptions{MinNewTokens: 4, MaxNewTokens: 4}}, func(p adapters.Piece) error {
				pieces = append(pieces, p)
				return nil
			})
			return []any{resp, joinPieces(pieces, len(examples))}, err
		}, killPoints("Generate", []int{1, 3}, []int{1, 2})},
	}
	if scorer, ok := adapters.AsScorer(m); ok {
		all = append(all, request{"Score", func(ctx context.Context) (any, error) {
			return scorer.Score(ctx, &adapters.ScoreRequest{Prompts: prompts, Examples: examples[:1],
				Candidates: [][]string{{"a dog", "two"}}})
		}, killPoints("Score", []int{1}, []int{1})})
	}
	if embedder, ok := adapters.AsTokenEmbedder(m); ok {
		all = append(all, request{"EmbedTokens", func(ctx context.Context) (any, error) {
			return embedder.EmbedTokens(ctx, &adapters.EmbedTokensRequest{Texts: []string{"a dog"}})
		}, killPoints("EmbedTokens", []int{1}, []int{1})})
	}
	if counter, ok := adapters.AsTokenCounter(m); ok {
		all = append(all, request{"CountTokens", func(ctx context.Context) (any, error) {
			return counter.CountTokens(ctx, []string{"a dog", "two cats"})
		}, killPoints("CountTokens", []int{1}, []int{1})})
	}
	return all
}

// joinPieces joins the pieces of each answer, because an answer may be split at other places.
func joinPieces(pieces []adapters.Piece, n int) []string {
	all := make([]string, n)
	for _, p := range pieces {
		all[p.Example] += p.Text
	}
	return all
}

func visionRequests(m adapters.VisionEncoder) []request {
	size := m.Spec().Image.Size()
	pictures := 2
	if size.Width*size.Height <= 64*64 { // enough pictures for several messages
		pictures = 1<<20/(3*size.Width*size.Height) + 1
	}
	images := adapters.NewTensor(adapters.Uint8, pictures, size.Height, size.Width, 3)
	for i := range images.Data {
		images.Data[i] = byte(i * 31)
	}
	return []request{{"Encode", func(ctx context.Context) (any, error) {
		return m.Encode(ctx, &adapters.EncodeRequest{Images: images})
	}, killPoints("Encode", []int{1, 2}, []int{1, 2})}}
}

// TestKillMatrix kills an adapter's process at every stage of its life and of every call. The
// host must repeat the call and return the same answer as without a kill, and no process may
// be left.
func TestKillMatrix(t *testing.T) {
	if testing.Short() {
		t.Skip("short: starts many processes")
	}
	for _, v := range victims() {
		t.Run(v.name+" by "+string(v.transport), func(t *testing.T) {
			k := &killer{}
			cfg := v.config(t)
			cfg.Started, cfg.Watch, cfg.Transport = k.started, k, v.transport
			cfg.Restart = host.Restart{Backoff: time.Millisecond}
			t.Run("first start", func(t *testing.T) { killFirstStart(t, cfg, k) })
			requests, closeModel := openVictim(t, cfg, v.kind)
			for _, r := range requests {
				want, err := r.call(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range r.points {
					if s.nth > 1 && v.transport != host.TransportGRPC && !(s.rpc == "Generate" && s.received) {
						continue // with shared memory, a request is one message and an answer is one
					}
					t.Run(s.String(), func(t *testing.T) { killAt(t, k, r, want, s) })
				}
			}
			first := requests[0]
			want, err := first.call(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range startPoints() { // of the restarted process
				t.Run("restart, "+s.String(), func(t *testing.T) {
					killAt(t, k, first, want, killPoint{first.rpc, false, 1}, s)
				})
			}
			closeModel()
			for _, p := range k.all {
				if p.Runs() {
					t.Errorf("process %d still runs", p.PID)
				}
			}
		})
	}
}

// startPoints returns the points before a model is loaded: the start, and Load's first request
// and first two answers.
func startPoints() []killPoint {
	return append([]killPoint{{rpc: "start"}}, killPoints("Load", []int{1}, []int{1, 2})...)
}

func openVictim(t *testing.T, cfg host.Config, kind adapters.ModelKind) ([]request, func()) {
	t.Helper()
	p, err := host.Launch(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	done := func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(done)
	if kind == adapters.KindVision {
		m, err := p.Vision()
		if err != nil {
			t.Fatal(err)
		}
		return visionRequests(m), done
	}
	m, err := p.Language()
	if err != nil {
		t.Fatal(err)
	}
	return languageRequests(m), done
}

// killFirstStart kills the process before its model is open. Opening must fail with the whole
// cause, and must work the next time.
func killFirstStart(t *testing.T, cfg host.Config, k *killer) {
	for _, s := range startPoints() {
		k.setKillPoints(s)
		p, err := host.Launch(t.Context(), cfg)
		if err == nil { // the spec was already sent
			p.Close()
			if !s.received {
				t.Errorf("%v: the process was killed, but its model opened", s)
			}
			continue
		}
		rpc := map[bool]string{true: "start", false: "Load"}[s.rpc == "start"]
		if adapters.KindOf(err) != adapters.Unavailable || !strings.Contains(err.Error(), "rpc "+rpc+": signal: killed") {
			t.Errorf("%v: got %v", s, err)
		}
		if k.killed() != 1 {
			t.Errorf("%v: the process was not killed", s)
		}
	}
	k.setKillPoints()
}

// killAt makes a request and kills the process at the points.
func killAt(t *testing.T, k *killer, r request, want any, points ...killPoint) {
	k.setKillPoints(points...)
	got, err := r.call(t.Context())
	if err != nil {
		t.Fatalf("the request was not repeated: %v", err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Error("the answer after a kill differs from the answer without one")
	}
	switch kills := k.killed(); {
	case kills == len(points):
	case points[0].nth > 1: // a call with few messages can lack the nth
		t.Logf("the call has no such message")
	default:
		t.Errorf("the process was killed %d times, want %d", kills, len(points))
	}
	k.setKillPoints()
}
