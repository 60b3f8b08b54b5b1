package serve

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/modular-bridging/bridge/serve/config"
	"github.com/modular-bridging/bridge/workspace"
)

// What a configuration says from now on must hold without a request that fails in between.
func TestReload(t *testing.T) {
	kit, err := workspace.KitDir(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "new")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(kit, "stage2"))); err != nil {
		t.Fatal(err)
	}
	shared, _ := sharedServer(t)
	next, mistake := testConfig(), error(nil)
	s := New(Options{Workspace: shared.workspace, Config: next})
	defer s.Close()
	s.reread = func() (config.Config, error) { return next, mistake }
	url := newTestServer(t, s)
	ask := func(model string) int {
		return post(t, url+"/v1/chat/completions", with(ask("", "kit:held-out/17"), map[string]any{"model": model, "max_tokens": 2})).status
	}
	if got := ask(testModel); got != http.StatusOK {
		t.Fatalf("status %d", got)
	}
	old, err := s.fleet.Acquire(t.Context(), testModel)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Release()

	next.Bridges = []config.Bridge{{Name: testModel, Model: dir, Backend: "go"}, {Name: "second", Model: dir, Backend: "go"}}
	next.Limits.Chat.Answers = 1
	next.Limits.QueueRows = 1 // stays as it was at the start
	mistake = errors.New("a mistake")
	s.Reload(t.Context())
	if got := ask("second"); got != http.StatusNotFound {
		t.Errorf("a configuration with a mistake is used: status %d", got)
	}
	mistake = nil
	s.Reload(t.Context())
	for _, name := range []string{testModel, "second"} {
		if got := ask(name); got != http.StatusOK {
			t.Errorf("%s: status %d", name, got)
		}
	}
	now, err := s.fleet.Acquire(t.Context(), testModel)
	if err != nil {
		t.Fatal(err)
	}
	defer now.Release()
	if now.Dir != dir || now.Language != old.Language {
		t.Errorf("%s is now %s, and shares its language model: %v", testModel, now.Dir, now.Language == old.Language)
	}
	if c := s.config.Load(); c.Limits.Chat.Answers != 1 || c.Limits.QueueRows != testConfig().Limits.QueueRows {
		t.Errorf("limits %+v", c.Limits)
	}
	next.Bridges = next.Bridges[1:]
	s.Reload(t.Context())
	if got := ask(testModel); got != http.StatusNotFound {
		t.Errorf("a model that is gone: status %d", got)
	}
}
