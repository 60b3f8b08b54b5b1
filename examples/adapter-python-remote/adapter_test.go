package remoteadapter

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/plugins/host"
)

const folder = "examples/adapter-python-remote"

// checkpoint copies a small Llama's folder, for its tokenizer and embeddings.
func checkpoint(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "small")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(testenv.Root(), "adapters/llama/testdata/golden-llama-3/checkpoint"))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// serve starts the server and returns its address.
func serve(t *testing.T, dir string) string {
	t.Helper()
	return testenv.Server(t, testenv.Program(t, testenv.PythonWith(t, "tokenizers"), folder+"/server.py", dir))
}

// open starts the adapter with a remote.json.
func open(t *testing.T, dir string, remote map[string]string) (adapters.LanguageModel, error) {
	t.Helper()
	text, err := json.Marshal(remote)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "remote.json"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	program := testenv.Program(t, testenv.PythonWith(t, "tokenizers"), folder+"/adapter.py")
	return host.OpenLanguage(t.Context(), host.Config{Path: program, Load: adapters.LoadRequest{Checkpoint: dir}})
}

// With vLLM's prompt embeddings everything works except gradients: soft prompts, losses, and
// scores that equal losses.
func TestConformance(t *testing.T) {
	dir := checkpoint(t)
	url := serve(t, dir)
	adaptertest.TestLanguage(t, func() adapters.LanguageModel {
		m, err := open(t, dir, map[string]string{"api": "vllm", "url": url + "/v1", "model": "small"})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}, adaptertest.Options{})
}

func TestCapabilitiesOfTextServers(t *testing.T) {
	dir := checkpoint(t)
	url := serve(t, dir)
	text := []adapters.Example{{Segments: []adapters.Segment{adapters.TextSegment("a photo of")}, Target: " a cat"}}
	var answers []string
	var losses []float32
	for _, remote := range []map[string]string{
		{"api": "vllm", "url": url + "/v1", "model": "small"},
		{"api": "openai", "url": url + "/v1", "model": "small"},
		{"api": "openai", "url": url + "/v1", "model": "text"},
		{"api": "openai", "url": url + "/v1", "model": "mute"},
		{"api": "ollama", "url": url, "model": "small"},
	} {
		t.Run(remote["api"]+" "+remote["model"], func(t *testing.T) {
			m, err := open(t, dir, remote)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			got, err := m.Generate(t.Context(), &adapters.GenerateRequest{Examples: text, Options: adapters.GenerateOptions{MaxNewTokens: 4}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			answers = append(answers, got.Texts[0])
			prompts := adapters.NewTensor(adapters.Float32, 1, 2, m.Spec().Width)
			soft := []adapters.Example{{Segments: []adapters.Segment{adapters.PromptSegment(0)}, Target: " a cat"}}
			_, err = m.Generate(t.Context(), &adapters.GenerateRequest{Prompts: prompts, Examples: soft}, nil)
			if takes := remote["api"] == "vllm"; takes != (err == nil) || !takes && (adapters.KindOf(err) != adapters.Unsupported || !strings.Contains(err.Error(), "--enable-prompt-embeds")) {
				t.Errorf("with soft prompts: %v", err)
			}
			_, err = m.Loss(t.Context(), &adapters.LossRequest{Prompts: prompts, Examples: soft, Gradient: true})
			if adapters.KindOf(err) != adapters.Unsupported || !strings.Contains(err.Error(), "gives no gradient") {
				t.Errorf("a gradient: %v", err)
			}
			scores := m.Spec().Has(adapters.CapScore)
			if scores != (remote["api"] != "ollama" && remote["model"] != "mute") {
				t.Errorf("it has the capabilities %v", m.Spec().Capabilities)
			}
			loss, err := m.Loss(t.Context(), &adapters.LossRequest{Examples: text})
			if !scores {
				if adapters.KindOf(err) != adapters.Unsupported || !strings.Contains(err.Error(), "log-probabilities") {
					t.Errorf("a loss: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			losses = append(losses, loss.Loss[0])
		})
	}
	for _, answer := range answers {
		if answer == "" || answer != answers[0] {
			t.Errorf("one model answers %q through several interfaces", answers)
		}
	}
	for _, loss := range losses {
		if loss != losses[0] {
			t.Errorf("one model has the losses %v through several interfaces", losses)
		}
	}
}

func TestErrorsHaveTheServersMessage(t *testing.T) {
	dir := checkpoint(t)
	url := serve(t, dir)
	ask := func(remote map[string]string) error {
		m, err := open(t, dir, remote)
		if err != nil {
			return err
		}
		defer m.Close()
		_, err = m.Loss(t.Context(), &adapters.LossRequest{Examples: []adapters.Example{
			{Segments: []adapters.Segment{adapters.TextSegment("a")}, Target: "b"}}})
		return err
	}
	for name, c := range map[string]struct {
		remote map[string]string
		kind   adapters.Kind
		part   string
	}{
		"another model": {map[string]string{"api": "vllm", "url": url + "/v1", "model": "large"}, adapters.NotFound, `serves small, text, mute, remote.json names the model 'large'`},
		"no server":     {map[string]string{"api": "vllm", "url": "http://127.0.0.1:1/v1", "model": "small"}, adapters.Unavailable, "start the server"},
		"no such api":   {map[string]string{"api": "telnet", "url": url}, adapters.Invalid, "vllm, openai, ollama"},
	} {
		if err := ask(c.remote); adapters.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.part) {
			t.Errorf("%s: %v, want kind %s with %q", name, err, c.kind, c.part)
		}
	}
}

// torch reads the prompt embeddings as vLLM does.
func TestPromptEmbeddingsAreTorchs(t *testing.T) {
	cmd := exec.Command(testenv.Torch(t), "-c", `
import base64, io, numpy, torch, embeds
array = numpy.random.default_rng(0).standard_normal((5, 7)).astype(numpy.float32)
read = torch.load(io.BytesIO(base64.b64decode(embeds.encode(array))), weights_only=True)
assert read.dtype == torch.float32 and (read.numpy() == array).all()`)
	cmd.Dir = filepath.Join(testenv.Root(), folder)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
