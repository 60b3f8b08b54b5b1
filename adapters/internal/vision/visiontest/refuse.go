package visiontest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/weights"
)

// Edit is a change of a checkpoint that a family must refuse.
type Edit struct {
	// Key of config.json, "a.b" for one inside an object, and its new value; nil
	// removes it. An empty key changes nothing.
	Key   string
	Value any
	// Rename takes a tensor's name to another, "" drops it.
	Rename map[string]string

	Kind    adapters.Kind
	Message string // part of the error
}

// Refuses opens edited copies of a checkpoint.
func Refuses(t *testing.T, family adapters.Family, dir string, edits ...Edit) {
	for _, edit := range edits {
		t.Run(edit.Message, func(t *testing.T) {
			encoder, err := family.OpenVision(t.Context(), &adapters.LoadRequest{Checkpoint: Edited(t, dir, edit), Backend: "go"})
			if err == nil {
				encoder.Close()
				t.Fatalf("%+v is accepted", edit)
			}
			if adapters.KindOf(err) != edit.Kind || !strings.Contains(err.Error(), edit.Message) {
				t.Errorf("got %v: %v; want %v and %q", adapters.KindOf(err), err, edit.Kind, edit.Message)
			}
		})
	}
}

// Edited returns an edited copy of a checkpoint folder.
func Edited(t *testing.T, dir string, edit Edit) string {
	t.Helper()
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if edit.Key != "" {
		editConfig(t, filepath.Join(copied, "config.json"), edit)
	}
	if edit.Rename != nil {
		editWeights(t, filepath.Join(copied, "model.safetensors"), edit.Rename)
	}
	return copied
}

// Config returns a folder that holds a configuration and nothing else.
func Config(t *testing.T, config map[string]any) string {
	t.Helper()
	dir := t.TempDir()
	data, err := json.Marshal(config)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "config.json"), data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func editConfig(t *testing.T, path string, edit Edit) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(data, &config); err != nil {
		t.Fatal(err)
	}
	inner, key := config, edit.Key
	if outer, rest, ok := strings.Cut(key, "."); ok {
		inner, key = config[outer].(map[string]any), rest
	}
	inner[key] = edit.Value
	if edit.Value == nil {
		delete(inner, key)
	}
	if data, err = json.Marshal(config); err == nil {
		err = os.WriteFile(path, data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func editWeights(t *testing.T, path string, rename map[string]string) {
	t.Helper()
	tensors, _, err := weights.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range rename {
		tensor, ok := tensors[from]
		if !ok {
			t.Fatalf("%s holds no %s", path, from)
		}
		delete(tensors, from)
		if to != "" {
			tensors[to] = tensor
		}
	}
	if err := weights.Write(path, tensors, nil); err != nil {
		t.Fatal(err)
	}
}
