package numpyadapter

import (
	"bufio"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/plugins/host"
)

const script = "examples/adapter-python-numpy/adapter.py"

// made returns the plugin and a checkpoint that the plugin made.
func made(t *testing.T) (program, checkpoint string) {
	t.Helper()
	program = testenv.Program(t, testenv.Python(t), script)
	checkpoint = filepath.Join(t.TempDir(), "checkpoint")
	testenv.Run(t, program, "--init", checkpoint)
	return program, checkpoint
}

// open starts the plugin in the same way as bridge.
func open(t *testing.T, program, checkpoint string, transport host.Transport) adapters.LanguageModel {
	t.Helper()
	m, err := host.OpenLanguage(t.Context(), host.Config{Path: program, Transport: transport, Load: adapters.LoadRequest{Checkpoint: checkpoint}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestConformance(t *testing.T) {
	for _, transport := range []host.Transport{host.TransportAuto, host.TransportGRPC} {
		t.Run(string(transport), func(t *testing.T) {
			program, checkpoint := made(t)
			adaptertest.TestLanguage(t, func() adapters.LanguageModel { return open(t, program, checkpoint, transport) },
				adaptertest.Options{Texts: []string{"a dog on", " a red background"}, GradientTolerance: 2e-3})
		})
	}
}

// Python arrays in shared memory have the same bits as those sent in chunks.
func TestTransportsAgree(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("shared memory needs Linux")
	}
	program, checkpoint := made(t)
	var want []any
	for _, transport := range []host.Transport{host.TransportGRPC, host.TransportShared} {
		m := open(t, program, checkpoint, transport)
		defer m.Close()
		req := &adapters.LossRequest{Prompts: adapters.NewTensor(adapters.Float32, 2, 8, m.Spec().Width), Gradient: true}
		for i := range req.Prompts.Float32s() {
			req.Prompts.Float32s()[i] = float32(i%13)/13 - 0.5
		}
		for i := range 2 {
			req.Examples = append(req.Examples, adapters.Example{Segments: []adapters.Segment{adapters.PromptSegment(i)}, Target: "a blue dog"})
		}
		for range 3 { // lent memory is lent again
			loss, err := m.Loss(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			table, err := m.(adapters.TokenEmbedder).EmbedTokens(t.Context(), &adapters.EmbedTokensRequest{})
			if err != nil {
				t.Fatal(err)
			}
			got := []any{loss, table}
			if want == nil {
				want = got
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: the bits differ", transport)
			}
		}
	}
}

// TestTrainable trains a soft prompt for an unlikely caption by gradient descent, until the
// model generates it.
func TestTrainable(t *testing.T) {
	program, checkpoint := made(t)
	m := open(t, program, checkpoint, host.TransportAuto)
	defer m.Close()
	example := []adapters.Example{{Segments: []adapters.Segment{adapters.PromptSegment(0)}, Target: "two apple left a blue dog"}}
	prompts := adapters.NewTensor(adapters.Float32, 1, 8, m.Spec().Width)
	first, last := math.Inf(1), 0.0
	for range 200 {
		resp, err := m.Loss(t.Context(), &adapters.LossRequest{Prompts: prompts, Examples: example, Gradient: true})
		if err != nil {
			t.Fatal(err)
		}
		for i, g := range resp.Gradient.Float32s() {
			prompts.Float32s()[i] -= 0.05 * g
		}
		first, last = min(first, float64(resp.Loss[0])), float64(resp.Loss[0])
	}
	answer, err := m.Generate(t.Context(), &adapters.GenerateRequest{Prompts: prompts, Examples: example}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Texts[0] != example[0].Target || last > first {
		t.Errorf("the trained prompt gives %q, want %q; the last loss is %g, the lowest %g", answer.Texts[0], example[0].Target, last, first)
	}
}

// An author runs the plugin in a debugger, and bridge connects to it.
func TestAttached(t *testing.T) {
	program := testenv.Program(t, testenv.Python(t), script)
	checkpoint := filepath.Join(t.TempDir(), "checkpoint")
	testenv.Run(t, program, "--init", checkpoint)
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), "BRIDGE_DEBUG=1")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("after an interrupt the plugin ends with %v", err)
		}
	}()
	lines, attach := bufio.NewScanner(stdout), ""
	for attach == "" && lines.Scan() {
		_, attach, _ = strings.Cut(strings.TrimSuffix(lines.Text(), "'"), "export BRIDGE_REATTACH='")
	}
	t.Setenv("BRIDGE_REATTACH", attach)
	for range 2 {
		m, err := host.OpenLanguage(t.Context(), host.Config{Name: "numpy", Path: program, Load: adapters.LoadRequest{Checkpoint: checkpoint}})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := m.Loss(t.Context(), &adapters.LossRequest{Examples: []adapters.Example{{Segments: []adapters.Segment{adapters.TextSegment("a dog")}, Target: " on"}}})
		if err != nil || resp.Tokens[0] != 2 {
			t.Errorf("got %+v, %v", resp, err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}
