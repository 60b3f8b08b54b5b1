package main

import (
	"errors"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/golden"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/workspace"
)

// The command reproduces the golden folders of whole bridges, with adapters in this process
// and in their own.
func TestVerifyBridges(t *testing.T) {
	dirs, err := golden.Dirs(filepath.Join("..", "..", "bridge", "testdata"))
	if err != nil || len(dirs) < 3 {
		t.Fatalf("%d golden folders, %v", len(dirs), err)
	}
	backend := os.Getenv("BRIDGE_TEST_BACKEND")
	if backend == "" {
		backend = "go"
	}
	for _, dir := range dirs {
		for _, isolation := range []string{"none", "process"} {
			t.Run(filepath.Base(dir)+"/"+isolation, func(t *testing.T) {
				if status, out, errs := runCommand(t, "verify", dir, "--isolation", isolation, "--backend", backend); status != exitDone {
					t.Errorf("exit status %d\n%s%s", status, out, errs)
				}
			})
		}
	}
}

// A failed conversion has a helpful error and leaves no file behind.
func TestConvertErrors(t *testing.T) {
	folder := filepath.Join("..", "..", "bridge", "testdata", "golden-opt", "checkpoint")
	stage1 := filepath.Join("..", "..", "convert", "testdata", "stage1.pth")
	stage2 := filepath.Join("..", "..", "convert", "testdata", "stage2.pth")
	to := filepath.Join(t.TempDir(), "to")
	for _, c := range []struct {
		status int
		want   string
		args   []string
	}{
		{exitUsage, "want: bridge convert FROM TO", []string{folder}},
		{exitUsage, "--to is \"onnx\"", []string{folder, to, "--to", "onnx"}},
		{exitUsage, "--llm applies only to a .pth file", []string{folder, to, "--llm", "tiny-opt"}},
		{exitFailed, "no such folder", []string{"nothing", to}},
		{exitFailed, "clip_vision_model", []string{"kit:stage2", to}},
		{exitUsage, "does not record which encoder", []string{stage1, to, "--heads", "2"}},
		{exitUsage, "name the folder of bert-base-uncased with --tokenizer", []string{stage1, to, "--heads", "2", "--encoder", folder}},
		{exitUsage, "name it with --llm", []string{stage2, to, "--heads", "2"}},
		{exitFailed, "pass --heads", []string{stage2, to, "--llm", folder}},
		{exitFailed, "posix.system", []string{filepath.Join("..", "..", "internal", "torchfile", "testdata", "evil.pt"), to}},
	} {
		status, _, errs := runCommand(t, append([]string{"convert"}, c.args...)...)
		if status != c.status || !strings.Contains(errs, c.want) {
			t.Errorf("%v: status %d, %s; want %d, %q", c.args, status, errs, c.status, c.want)
		}
		if left, _ := os.ReadDir(filepath.Dir(to)); len(left) > 0 {
			t.Fatalf("%v left %v", c.args, left)
		}
	}
}

// A folder converted from a .pth file of LAVIS can be used as a MODEL.
func TestConvertLAVIS(t *testing.T) {
	golden := filepath.Join("..", "..", "bridge", "testdata")
	opt := filepath.Join(golden, "golden-opt", "checkpoint")
	retrieval := filepath.Join(golden, "golden-retrieval", "checkpoint")
	dir := t.TempDir()
	picture := filepath.Join(dir, "a.png")
	if err := writePNG(picture); err != nil {
		t.Fatal(err)
	}
	from := func(name string) string { return filepath.Join("..", "..", "convert", "testdata", name) }
	convert := func(file, to string, flags ...string) {
		t.Helper()
		mustExit(t, exitDone, append([]string{"convert", from(file), filepath.Join(dir, to)}, flags...)...)
	}
	convert("stage2.pth", "whole", "--llm", opt, "--heads", "2", "--encoder-heads", "2")
	convert("stage2.pth", "own", "--llm", opt, "--encoder", opt, "--heads", "2", "--to", "bridge")
	convert("stage1.pth", "first", "--encoder", retrieval, "--tokenizer", retrieval, "--heads", "2")
	convert("eva.pth", "eva", "--encoder-heads", "2")
	for _, name := range []string{"whole", "own"} {
		out, _ := mustExit(t, exitDone, "caption", filepath.Join(dir, name), picture, "--backend", "go", "--isolation", "none")
		if !strings.HasPrefix(out, picture+"\t") {
			t.Errorf("%s: got %q, want a caption", name, out)
		}
	}
	if _, errs := mustExit(t, exitFailed, "caption", filepath.Join(dir, "first"), picture); !strings.Contains(errs, "stage-1 bridge") {
		t.Errorf("a stage-1 bridge: %s", errs)
	}
}

// A .pth file of LAVIS can be used as a MODEL. It is converted into the cache once, and its
// captions are those of the folder that bridge convert writes.
func TestCaptionOfLAVIS(t *testing.T) {
	testenv.Cache(t)
	golden := filepath.Join("..", "..", "bridge", "testdata")
	opt := filepath.Join(golden, "golden-opt", "checkpoint")
	file := func(name string) string { return filepath.Join("..", "..", "convert", "testdata", name) }
	dir := t.TempDir()
	picture := filepath.Join(dir, "a.png")
	if err := writePNG(picture); err != nil {
		t.Fatal(err)
	}
	sides := []string{"--llm", opt, "--heads", "2", "--encoder-heads", "2"}
	mustExit(t, exitDone, append([]string{"convert", file("stage2.pth"), filepath.Join(dir, "whole")}, sides...)...)
	how := []string{picture, "--backend", "go", "--isolation", "none", "--prompt", "a photo of"}
	want, _ := mustExit(t, exitDone, append([]string{"caption", filepath.Join(dir, "whole")}, how...)...)
	for _, converted := range []bool{true, false} {
		got, errs := mustExit(t, exitDone, slices.Concat([]string{"caption", file("stage2.pth")}, how, sides)...)
		if got != want || strings.Contains(errs, "converting the file") != converted {
			t.Errorf("got %q, want %q; want a conversion: %v\n%s", got, want, converted, errs)
		}
	}
	for _, c := range []struct {
		status int
		want   string
		args   []string
	}{
		{exitUsage, "name it with --llm ID", []string{"caption", file("stage2.pth"), picture, "--heads", "2"}},
		{exitFailed, "is of stage 1 and contains no language model", []string{"caption", file("stage1.pth"), picture}},
		{exitFailed, "contains only an encoder", []string{"ask", file("eva.pth"), picture, "what?"}},
		{exitUsage, "--llm applies only to a .pth file", []string{"caption", "kit:stage2", picture, "--llm", opt}},
		{exitFailed, "not a whole file of torch.save", []string{"caption", picture, picture}},
	} {
		if status, _, errs := runCommand(t, c.args...); status != c.status || !strings.Contains(errs, c.want) {
			t.Errorf("%v: status %d, %s; want %d, %q", c.args, status, errs, c.status, c.want)
		}
	}
}

// Training starts only from a folder; for a .pth file the error says how to convert it.
func TestBridgeDirRefusesFiles(t *testing.T) {
	w := workspace.New(workspace.Options{})
	_, err := w.BridgeDir(t.Context(), filepath.Join("..", "..", "convert", "testdata", "stage2.pth"))
	if err == nil || !strings.Contains(err.Error(), "bridge convert") {
		t.Errorf("got %v, want an error with the conversion command", err)
	}
}

func writePNG(path string) error {
	picture := image.NewRGBA(image.Rect(0, 0, 20, 30))
	for i := range picture.Pix {
		picture.Pix[i] = uint8(i*i) | 1
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(png.Encode(f, picture), f.Close())
}
