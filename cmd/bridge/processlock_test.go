package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/vit"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/plugins"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/runs"
)

func TestSecondProcessIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		held string // locked folder, below the folder in --out
		args []string
	}{
		"train":    {"", []string{"train", "tiny-stage1"}},
		"retrain":  {"", []string{"retrain", "--llm", "tiny-flan-t5"}},
		"resume":   {"", []string{"train", "tiny-stage1", "--resume"}},
		"demo":     {"", []string{"demo"}},
		"demo run": {"warm", shortRun("demo", "--set", "language.isolation=none")},
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "run")
			held := filepath.Join(out, c.held)
			release, err := runs.LockRunDir(held)
			if err != nil {
				t.Fatal(err)
			}
			defer release()
			recipe := filepath.Join(held, recipes.RunFile)
			if name != "train" {
				if err := os.WriteFile(recipe, []byte("mine"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			before := dirListing(t, held)
			_, stderr := mustExit(t, exitFailed, append(c.args, "--out", out)...)
			if !strings.Contains(stderr, "another process is writing to "+held) || !strings.Contains(stderr, "--out") {
				t.Errorf("got %s, want the folder and a remedy", stderr)
			}
			if after := dirListing(t, held); after != before {
				t.Errorf("the folder contains %s, want %s as before", after, before)
			}
		})
	}
}

// dirListing returns the names and sizes of the files in a folder.
func dirListing(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprint(e.Name(), ":", info.Size()))
	}
	return strings.Join(all, " ")
}

// panicVariable makes this binary a plugin whose encoder panics.
const panicVariable = "BRIDGE_TEST_PANIC"

func servePanicking() int {
	f := vit.Family()
	open := f.OpenVision
	f.OpenVision = func(ctx context.Context, req *adapters.LoadRequest) (adapters.VisionEncoder, error) {
		e, err := open(ctx, req)
		return panickingEncoder{e}, err
	}
	if err := plugins.ServeWith(plugins.ServeConfig{Families: []adapters.Family{f}, Name: f.Name}); err != nil {
		return exitFailed
	}
	return exitDone
}

type panickingEncoder struct{ adapters.VisionEncoder }

// Encode panics in a goroutine, where nothing recovers.
func (panickingEncoder) Encode(context.Context, *adapters.EncodeRequest) (*adapters.EncodeResponse, error) {
	go panic("the encoder fell over")
	select {}
}

// onceFailingPlugin writes an executable that runs a shell command the first time. After that
// it is the adapter vit.
func onceFailingPlugin(t *testing.T, first string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "plugin")
	text := fmt.Sprintf("#!/bin/sh\nself='%s'\nif [ ! -e \"$0.once\" ]; then\n: > \"$0.once\"\n%s\nfi\n"+
		"exec \"$self\" adapter serve vit\n", self, first)
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// checkRunLog runs a short training with a plugin as encoder, and checks the log in its run
// folder.
func checkRunLog(t *testing.T, status int, plugin string, wants ...string) {
	t.Helper()
	testenv.Cache(t)
	out := filepath.Join(t.TempDir(), "run")
	mustExit(t, status, append(shortRun("train", "tiny-stage1", "--out", out), "--set", "vision.isolation=process",
		"--set", "vision.plugin="+plugin, "--set", "vision.id="+copyModel(t, "tiny-vit"))...)
	text, err := os.ReadFile(filepath.Join(out, "log.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wants {
		if !strings.Contains(string(text), w) {
			t.Errorf("no %q in the log:\n%s", w, text)
		}
	}
	if n := strings.Count(string(text), "msg=loaded"); n > 4 {
		t.Errorf("%d lines about loading:\n%s", n, text)
	}
}

func TestLogHasPluginOutput(t *testing.T) {
	checkRunLog(t, exitDone, onceFailingPlugin(t, panicVariable+"=1 exec \"$self\""),
		"the plugin died; it is started again", "panic: the encoder fell over", "goroutine ", "panickingEncoder.Encode", "msg=loaded")
}

func TestLogHasLastError(t *testing.T) {
	checkRunLog(t, exitFailed, onceFailingPlugin(t, "echo no such device >&2; exit 3"), "the run failed", "no such device")
}
