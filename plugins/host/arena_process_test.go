package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/plugins/internal/plugintest"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// everyCall makes one request of each kind and returns the answers.
func everyCall(t *testing.T, m adapters.LanguageModel) (answers []any) {
	t.Helper()
	add := func(answer any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, answer)
	}
	loss := plugintest.LossRequest(true)
	narrow, err := loss.Prompts.Convert(adapters.BFloat16)
	if err != nil {
		t.Fatal(err)
	}
	for _, prompts := range []*adapters.Tensor{loss.Prompts, narrow, loss.Prompts.Slice(0, 2)} {
		for _, gradient := range []bool{true, false} {
			resp, err := m.Loss(t.Context(), &adapters.LossRequest{Prompts: prompts, Examples: loss.Examples, Gradient: gradient})
			add(resp, err)
		}
	}
	text := []adapters.Example{{Segments: []adapters.Segment{adapters.TextSegment("no prompt")}, Target: "x"}}
	resp, err := m.Loss(t.Context(), &adapters.LossRequest{Examples: text})
	add(resp, err)
	scores, err := m.(adapters.Scorer).Score(t.Context(), &adapters.ScoreRequest{Prompts: loss.Prompts, Examples: loss.Examples,
		Candidates: [][]string{{"a", "b", "c"}, {"d", "", "f"}}})
	add(scores, err)
	var pieces []adapters.Piece
	generated, err := m.Generate(t.Context(), &adapters.GenerateRequest{Prompts: narrow, Examples: loss.Examples}, func(p adapters.Piece) error {
		pieces = append(pieces, p)
		return nil
	})
	add(generated, err)
	add(pieces, nil)
	for _, texts := range [][]string{nil, {"ab", "", "über"}} {
		embedded, err := m.(adapters.TokenEmbedder).EmbedTokens(t.Context(), &adapters.EmbedTokensRequest{Texts: texts})
		add(embedded, err)
	}
	counts, err := m.(adapters.TokenCounter).CountTokens(t.Context(), []string{"ab", "", "über"})
	add(counts, err)
	return answers
}

// Shared memory, chunks and no boundary at all give the same bits, in every call.
func TestTransportsAgreeToTheBit(t *testing.T) {
	t.Parallel()
	want := everyCall(t, adaptertest.NewFakeLanguage("tiny", 1))
	images := adapters.NewTensor(adapters.Uint8, 500, 8, 8, 3)
	for i := range images.Data {
		images.Data[i] = byte(i * 31 / 7)
	}
	features, err := adaptertest.NewFakeVision("tiny", 1).Encode(t.Context(), &adapters.EncodeRequest{Images: images})
	if err != nil {
		t.Fatal(err)
	}
	// 0: all by handles; 64 KiB: large tensors as chunks, small ones by handles.
	for _, bytes := range []int64{0, 64 << 10} {
		eachTransport(t, func(t *testing.T, transport Transport) {
			cfg := config(t, "normal", "language")
			cfg.Transport, cfg.ArenaBytes = transport, bytes
			p, m := launchLanguage(t, cfg)
			for range 2 {
				for i, got := range everyCall(t, m) {
					if !reflect.DeepEqual(got, want[i]) {
						t.Errorf("answer %d differs: %v", i, got)
					}
				}
			}
			if a := p.current.arenas; (a != nil) != (transport == TransportShared) {
				t.Fatalf("the arenas are %v", a)
			} else if a != nil {
				wantFree(t, a)
				if large := int64(a.copied) > 1<<20; large == (bytes != 0) || a.copied == 0 {
					t.Errorf("%d bytes went through arenas of %d", a.copied, a.size)
				}
			}
			cfg.Family = "vision"
			v, err := OpenVision(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			if got, err := v.Encode(t.Context(), &adapters.EncodeRequest{Images: images}); err != nil || !reflect.DeepEqual(got, features) {
				t.Errorf("features differ, or %v", err)
			}
		})
	}
}

// wantFree waits until no call uses the arenas.
func wantFree(t *testing.T, a *arenas) {
	t.Helper()
	var left string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if left = taken(a); left == "" {
			return
		}
	}
	t.Errorf("still taken: %s", left)
}

func taken(a *arenas) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	slots := 0
	for _, s := range a.slots {
		if s {
			slots++
		}
	}
	if slots == 0 && len(a.toPlugin.used) == 0 && len(a.toHost.used) == 0 {
		return ""
	}
	return fmt.Sprintf("%d slots, %v to the plugin, %v to the host", slots, a.toPlugin.used, a.toHost.used)
}

// Steps of one shape touch the same pages again.
func TestStepsReuseTheirPlaces(t *testing.T) {
	t.Parallel()
	needsArenas(t)
	cfg := config(t, "normal", "language")
	cfg.Transport = TransportShared
	p, m := launchLanguage(t, cfg)
	req := plugintest.LossRequest(true)
	for range 5 {
		if _, err := m.Loss(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	a := p.current.arenas
	n := uint64(len(req.Prompts.Data))
	if want := 10 * n; a.copied != want {
		t.Errorf("%d bytes were copied, want %d", a.copied, want)
	}
	for name, arena := range map[string][]byte{"to the plugin": a.in, "to the host": a.out} {
		if !allZero(arena[wire.Align(n):]) {
			t.Errorf("the arena %s is used beyond one step's %d bytes", name, n)
		}
		if allZero(arena[:n]) {
			t.Errorf("the arena %s is not used", name)
		}
	}
}

// allZero looks at a few pages only, because a look makes a page.
func allZero(b []byte) bool {
	return len(bytes.Trim(b[:min(len(b), 64<<10)], "\x00")) == 0
}

// Concurrent calls have parts of their own. What finds no room is sent as chunks.
func TestCallsAtOnceShareTheArenas(t *testing.T) {
	t.Parallel()
	needsArenas(t)
	cfg := config(t, "normal", "language")
	cfg.Transport, cfg.ArenaBytes = TransportShared, 3<<20 // two of five requests fit
	p, m := launchLanguage(t, cfg)
	want, err := adaptertest.NewFakeLanguage("tiny", 1).Loss(t.Context(), plugintest.LossRequest(true))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			for range 3 {
				if got, err := m.Loss(t.Context(), plugintest.LossRequest(true)); err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("got another loss, or error %v", err)
				}
			}
		})
	}
	wg.Wait()
	wantFree(t, p.current.arenas)
}

// A plugin that lies about its tensors breaks its own call, but neither the host nor other
// calls.
func TestLyingPlugin(t *testing.T) {
	t.Parallel()
	needsArenas(t)
	cfg := config(t, "normal", "language")
	cfg.Transport = TransportShared
	p, m := launchLanguage(t, brokenBy(cfg, func(conn *grpc.ClientConn) grpc.ClientConnInterface { return lyingConn{conn} }))
	process := p.current
	req := plugintest.LossRequest(true)
	req.Prompts = req.Prompts.Slice(0, 2)
	honest, err := adaptertest.NewFakeLanguage("tiny", 1).Loss(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	other := process.arenas.lease(4096) // so that there is something before a call's lease
	for name := range lies() {
		t.Run(name, func(t *testing.T) {
			lied := *req
			lied.Examples = append([]adapters.Example(nil), req.Examples...)
			lied.Examples[0].Target = name
			_, err := m.Loss(t.Context(), &lied)
			plugintest.WantError(t, err, adapters.Internal, "broke the contract", "plugin fake of unknown version, rpc Loss")
			if strings.Contains(err.Error(), "memfd") || strings.Contains(err.Error(), "/proc") {
				t.Errorf("the error reveals where memory is: %v", err)
			}
			if got, err := m.Loss(t.Context(), req); err != nil || !reflect.DeepEqual(got, honest) {
				t.Errorf("afterwards: another answer, or %v", err)
			}
		})
	}
	if p.current != process {
		t.Error("the plugin was restarted")
	}
	process.arenas.free(other)
	wantFree(t, process.arenas)
}

// The lease of an abandoned call stays reserved until the plugin has left the call, and
// has written its answer. Then it is free again.
func TestCancelBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	needsArenas(t)
	gate := filepath.Join(t.TempDir(), "gate")
	var log plugintest.Buffer
	cfg := config(t, "late", "language")
	cfg.Env = append(cfg.Env, plugintest.GateKey+"="+gate)
	cfg.Transport, cfg.ArenaBytes = TransportShared, 4<<20
	cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p, m := launchLanguage(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	lost := make(chan error, 1)
	go func() {
		_, err := m.Loss(ctx, plugintest.LossRequest(true))
		lost <- err
	}()
	plugintest.WaitFor(t, "the plugin to be in the call", func() bool { return strings.Contains(log.String(), "in the call") })
	cancel()
	select {
	case err := <-lost:
		plugintest.WantError(t, err, adapters.Canceled)
	case <-time.After(10 * time.Second):
		t.Fatal("the call goes on after its context has ended")
	}
	a := p.current.arenas
	want, err := adaptertest.NewFakeLanguage("tiny", 1).EmbedTokens(t.Context(), &adapters.EmbedTokensRequest{})
	if err != nil {
		t.Fatal(err)
	}
	others := func() {
		t.Helper()
		for range 5 {
			got, err := m.(adapters.TokenEmbedder).EmbedTokens(t.Context(), &adapters.EmbedTokensRequest{})
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("beside an abandoned call: another answer, or %v", err)
			}
		}
	}
	others()
	a.mu.Lock()
	reserved := len(a.toHost.used) == 1 && len(a.toPlugin.used) == 1 && a.slots[0]
	a.mu.Unlock()
	if !reserved {
		t.Errorf("other calls got the lease of a running call: %s", taken(a))
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	others() // while the plugin writes its answer
	wantFree(t, a)
}

// If a plugin does not serve Settle, the leases of its failed calls stay reserved, and calls
// without one work.
func TestUnsettledCallsExhaustTheArenas(t *testing.T) {
	t.Parallel()
	needsArenas(t)
	cfg := config(t, "fail at loss", "language")
	cfg.Transport, cfg.ArenaBytes = TransportShared, 4<<20
	p, m := launchLanguage(t, brokenBy(cfg, func(conn *grpc.ClientConn) grpc.ClientConnInterface { return without(conn, "Settle") }))
	for range 6 { // of which three fit
		_, err := m.Loss(t.Context(), plugintest.LossRequest(true))
		plugintest.WantError(t, err, adapters.Corrupt, "bad tensor")
	}
	if a := p.current.arenas; len(a.toHost.used) != 3 || len(a.toPlugin.used) != 3 {
		t.Errorf("taken: %s; want three parts of each", taken(a))
	}
	want, _ := adaptertest.NewFakeLanguage("tiny", 1).EmbedTokens(t.Context(), &adapters.EmbedTokensRequest{})
	got, err := m.(adapters.TokenEmbedder).EmbedTokens(t.Context(), &adapters.EmbedTokensRequest{})
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("with full arenas: another answer, or %v", err)
	}
}

// A plugin can neither write to the host's arena nor change the size or the seals of either,
// and its children inherit none.
func TestHostilePlugin(t *testing.T) {
	t.Parallel()
	needsArenas(t)
	cfg := config(t, "hostile", "")
	cfg.Transport = TransportShared
	_, m := launchLanguage(t, cfg)
	if did := m.Spec().ID; did != "did: " {
		t.Errorf("a plugin %s", did)
	}
	want, _ := adaptertest.NewFakeLanguage("tiny", 1).Loss(t.Context(), plugintest.LossRequest(true))
	if got, err := m.Loss(t.Context(), plugintest.LossRequest(true)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("afterwards: another answer, or %v", err)
	}
}

func TestFallsBackToChunks(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"no memory":            func(c *Config) { c.ArenaBytes = 1 << 62 },
		"the plugin maps none": func(c *Config) { c.Env[0] = plugintest.ModeKey + "=no arenas" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log plugintest.Buffer
			cfg := config(t, "normal", "language")
			cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			change(&cfg)
			p, m := launchLanguage(t, cfg)
			if p.current.arenas != nil {
				t.Error("there are arenas")
			}
			if _, err := m.Loss(t.Context(), plugintest.LossRequest(true)); err != nil {
				t.Error(err)
			}
			if text := "tensors are sent through gRPC"; !strings.Contains(log.String(), text) {
				t.Errorf("the log does not say %q:\n%s", text, log.String())
			}
			cfg.Transport = TransportShared
			_, err := Launch(t.Context(), cfg)
			plugintest.WantError(t, err, adapters.Unsupported, "no shared memory", `"auto"`)
		})
	}
}

// The host keeps nothing of the arenas, however a plugin has ended.
func TestArenasEndWithTheProcess(t *testing.T) {
	needsArenas(t)
	cfg := config(t, "crash once at loss", "language")
	cfg.Transport = TransportShared
	p, m := launchLanguage(t, cfg)
	first := p.current.arenas
	if _, err := m.Loss(t.Context(), plugintest.LossRequest(true)); err != nil {
		t.Fatal(err)
	}
	second := p.current.arenas
	if second == first || first.in != nil || first.out != nil {
		t.Error("the arenas of a dead process live on")
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if second.in != nil || second.out != nil {
		t.Error("the arenas are there after Close")
	}
	if l := second.lease(64); l.Put(make([]byte, 64)) != nil {
		t.Error("closed arenas take tensors")
	} else if _, err := l.Read(l.Part); err == nil {
		t.Error("closed arenas give tensors")
	}
	if left := memoryFiles(t); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// memoryFiles lists this process's mappings and descriptors of arenas.
func memoryFiles(t *testing.T) (found []string) {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		testenv.Lacking(t, "/proc", err)
	}
	for line := range strings.Lines(string(maps)) {
		if strings.Contains(line, "memfd:bridge") {
			found = append(found, line)
		}
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if target, _ := os.Readlink("/proc/self/fd/" + e.Name()); strings.Contains(target, "memfd:bridge") {
			found = append(found, e.Name()+" → "+target)
		}
	}
	return found
}

// Numbers that are not finite are refused with their position.
func TestNumbersThatAreNotFinite(t *testing.T) {
	t.Parallel()
	eachTransport(t, func(t *testing.T, transport Transport) {
		cfg := config(t, "not finite", "language")
		cfg.Transport = transport
		m := openLanguage(t, cfg)
		refused := func(err error, rpc string, texts ...string) {
			t.Helper()
			plugintest.WantError(t, err, adapters.Corrupt, append(texts, "plugin fake ", ", rpc "+rpc, "float32")...)
			var e *adapters.Error
			if !errors.As(err, &e) || e.Field == "" {
				t.Errorf("%v names no field", err)
			}
		}
		for _, value := range []string{"NaN", "+Inf", "-Inf"} {
			for what, place := range map[string]string{"loss": "loss[1]", "gradient": "gradient[1, 2, 3]"} {
				req := plugintest.LossRequest(true)
				req.Examples[0].Target = what + " " + value
				_, err := m.Loss(t.Context(), req)
				refused(err, "Loss", place+" is "+value)
			}
		}
		req := plugintest.LossRequest(true)
		_, err := m.(adapters.Scorer).Score(t.Context(), &adapters.ScoreRequest{Prompts: req.Prompts, Examples: req.Examples[:1], Candidates: [][]string{{"a"}}})
		refused(err, "Score", "scores[0, 0] is NaN")
		_, err = m.(adapters.TokenEmbedder).EmbedTokens(t.Context(), &adapters.EmbedTokensRequest{})
		refused(err, "EmbedTokens", "embeddings[0, 0] is -Inf")
		cfg.Family = "vision"
		v, err := OpenVision(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		_, err = v.Encode(t.Context(), &adapters.EncodeRequest{Images: adapters.NewTensor(adapters.Uint8, 1, 8, 8, 3)})
		refused(err, "Encode", "features[0, 1, 1] is +Inf")
	})
}
