package lmtest

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

// Edit is a change of config.json that a family must refuse.
type Edit struct {
	Key     string
	Value   any // nil removes the key
	Kind    adapters.Kind
	Message string // part of the error
}

// Refuses opens copies of a checkpoint whose config.json is edited.
func Refuses(t *testing.T, open OpenFunc, checkpoint string, edits ...Edit) {
	for _, edit := range edits {
		t.Run(edit.Key, func(t *testing.T) {
			dir := t.TempDir()
			CopyFiles(t, checkpoint, dir, "model.safetensors", "tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json")
			writeConfig(t, checkpoint, dir, edit)
			model, err := open(t.Context(), &adapters.LoadRequest{Checkpoint: dir, Backend: "go"})
			if err == nil {
				model.Close()
				t.Fatalf("%s = %v is accepted", edit.Key, edit.Value)
			}
			if adapters.KindOf(err) != edit.Kind || !strings.Contains(err.Error(), edit.Message) {
				t.Errorf("got %v: %v; want %v and %q", adapters.KindOf(err), err, edit.Kind, edit.Message)
			}
		})
	}
}

func writeConfig(t *testing.T, from, to string, edit Edit) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(from, "config.json"))
	if err == nil {
		err = os.WriteFile(filepath.Join(to, "config.json"), data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	EditJSON(t, filepath.Join(to, "config.json"), map[string]any{edit.Key: edit.Value})
}

// EditJSON sets keys of a JSON file, which is created if it is missing. The value nil removes a
// key.
func EditJSON(t *testing.T, path string, edit map[string]any) {
	t.Helper()
	content := map[string]any{}
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &content)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	maps.Copy(content, edit)
	maps.DeleteFunc(content, func(_ string, value any) bool { return value == nil })
	if data, err = json.Marshal(content); err == nil {
		err = os.WriteFile(path, data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
