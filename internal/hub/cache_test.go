package hub

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestVerify(t *testing.T) {
	f, cache := newFake(t), t.TempDir()
	s := f.mustPull(f.client(cache))
	checked, err := Verify(t.Context(), s.Dir, nil)
	if err != nil || len(checked) != 3 {
		t.Fatalf("%v, %v", checked, err)
	}
	for _, c := range checked {
		if !c.OK() || c.Want == "" {
			t.Errorf("%+v", c)
		}
	}
	blob, err := filepath.EvalSymlinks(filepath.Join(s.Dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(blob, bytes.Repeat([]byte("X"), 320_000), 0o644); err != nil {
		t.Fatal(err)
	}
	checked, err = Verify(t.Context(), s.Dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(checked, func(c Checked) bool { return !c.OK() })
	if i < 0 || checked[i].Path != "model.safetensors" {
		t.Fatalf("the damage was not detected: %+v", checked)
	}
	if err := Forget(s.Dir, checked[i]); err != nil {
		t.Fatal(err)
	}
	f.mustPull(f.client(cache))

	plain := t.TempDir()
	if err := os.WriteFile(filepath.Join(plain, "a"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	checked, err = Verify(t.Context(), plain, nil)
	if err != nil || len(checked) != 1 || checked[0].Got != sha([]byte("x")) || checked[0].Want != "" {
		t.Errorf("%+v, %v", checked, err)
	}
}

func TestEnvironment(t *testing.T) {
	home := t.TempDir()
	for _, name := range []string{"HF_ENDPOINT", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN",
		"HF_TOKEN_PATH", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_IMPLICIT_TOKEN", "XDG_CACHE_HOME"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", home)
	if c := FromEnvironment(); c.endpoint() != DefaultEndpoint || c.Cache != filepath.Join(home, ".cache", "huggingface", "hub") || c.Token != "" || c.Offline {
		t.Errorf("without variables: %+v", c)
	}
	t.Setenv("XDG_CACHE_HOME", "/xdg")
	if got := CacheDir(); got != filepath.Join("/xdg", "huggingface", "hub") {
		t.Errorf("XDG_CACHE_HOME: %s", got)
	}
	t.Setenv("HF_HOME", "~/hf")
	if err := os.MkdirAll(filepath.Join(home, "hf"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "hf", "token"), []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HF_ENDPOINT", "https://mirror.example/")
	t.Setenv("HF_HUB_OFFLINE", "yes")
	if c := FromEnvironment(); c.endpoint() != "https://mirror.example" || c.Cache != filepath.Join(home, "hf", "hub") || c.Token != "from-file" || !c.Offline {
		t.Errorf("HF_HOME: %+v", c)
	}
	t.Setenv("HF_HUB_CACHE", "/cache")
	t.Setenv("HF_TOKEN", " from-variable ")
	if c := FromEnvironment(); c.Cache != "/cache" || c.Token != "from-variable" {
		t.Errorf("HF_HUB_CACHE: %+v", c)
	}
}

func TestIsModel(t *testing.T) {
	dir := t.TempDir()
	add := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		name, content string
		want          bool
	}{
		{"model-00001-of-00002.safetensors", "", false}, // no config
		{"config.json", "{}", true},
		{"model.safetensors.index.json", `{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}`, false},
		{"model-00002-of-00002.safetensors", "", true},
	} {
		add(step.name, step.content)
		if got := IsModel(dir); got != step.want {
			t.Errorf("with %s: %v, want %v", step.name, got, step.want)
		}
	}
	dir = t.TempDir()
	add("config.json", "{}")
	add("tokenizer.json", "{}")
	if IsModel(dir) || !Holds(dir, "token*.json") || Holds(dir, "*.txt") {
		t.Error("IsModel must be false and Holds true for a folder with only a tokenizer")
	}
}
