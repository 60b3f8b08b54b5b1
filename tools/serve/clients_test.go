package main

import (
	"context"
	"image/png"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/serve"
	"github.com/modular-bridging/bridge/serve/config"
	"github.com/modular-bridging/bridge/workspace"
)

// testKey is a key of the server with keys.
const testKey = "0123456789abcdef-client"

// shared are two servers of the kit's bridge, called warm as in the documentation. The one with keys never loads it.
var shared struct {
	once                sync.Once
	open, keyed         *serve.Server
	openHTTP, keyedHTTP *httptest.Server
	err                 error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.openHTTP != nil {
		shared.openHTTP.Close()
		shared.keyedHTTP.Close()
		shared.open.Close()
		shared.keyed.Close()
	}
	os.Exit(code)
}

// servers returns the URLs of the two servers.
func servers(t *testing.T) (open, keyed string) {
	t.Helper()
	shared.once.Do(func() {
		c := config.Default()
		c.Bridges = []config.Bridge{{Name: "warm", Model: "kit:stage2", Backend: "go", Isolation: "none"}}
		shared.open = serve.New(serve.Options{Workspace: workspace.New(workspace.Options{}), Config: c})
		shared.err = shared.open.Load(context.Background())
		if err := c.Keys.Add("client", testKey); err != nil && shared.err == nil {
			shared.err = err
		}
		shared.keyed = serve.New(serve.Options{Workspace: workspace.New(workspace.Options{}), Config: c})
		shared.openHTTP, shared.keyedHTTP = httptest.NewServer(shared.open.Handler()), httptest.NewServer(shared.keyed.Handler())
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.openHTTP.URL, shared.keyedHTTP.URL
}

// runClient runs a program, which must succeed, and returns what it prints.
func runClient(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), program, args...)
	c.Dir = dir
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
	return string(out)
}

// node returns the program and the folder with the installed package of npm.
func node(t *testing.T) (program, modules string) {
	t.Helper()
	program, err := exec.LookPath("node")
	if err != nil {
		testenv.Lacking(t, "Node", err)
	}
	modules = filepath.Join(testenv.Root(), "tools", "serve", "clients", "node_modules")
	if _, err := os.Stat(filepath.Join(modules, "openai")); err != nil {
		testenv.Lacking(t, "the npm package openai (npm ci --prefix tools/serve/clients)", err)
	}
	return program, modules
}

func TestOpenAIOfPython(t *testing.T) {
	python := testenv.PythonWith(t, "openai")
	open, keyed := servers(t)
	if out := runClient(t, "clients", python, "client.py", open, keyed, testKey); !strings.Contains(out, "Ran 13 tests") {
		t.Errorf("want 13 tests: %s", out)
	}
}

func TestOpenAIOfNode(t *testing.T) {
	program, _ := node(t)
	open, keyed := servers(t)
	if out := runClient(t, "clients", program, "client.mjs", open, keyed, testKey); !strings.Contains(out, "pass 8") {
		t.Errorf("want 8 tests: %s", out)
	}
}

// The lines of docs/serving.md must work as they stand.
func TestTheDocumentedClients(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testenv.Root(), "docs", "serving.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	d, err := kit.Open(kit.HeldOut)
	if err != nil {
		t.Fatal(err)
	}
	photo, err := os.Create(filepath.Join(dir, "photo.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer photo.Close()
	if err := png.Encode(photo, d.Picture(17).Image()); err != nil {
		t.Fatal(err)
	}
	// block writes the first code block of a language to a file, with the address of the test's server.
	block := func(t *testing.T, language, name, url string) (code string) {
		t.Helper()
		_, rest, _ := strings.Cut(string(text), "```"+language+"\n")
		code, _, ok := strings.Cut(rest, "```")
		if !ok || !strings.Contains(code, "http://127.0.0.1:8000") {
			t.Fatalf("docs/serving.md has no code of %s with the server's address: %q", language, code)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(code, "http://127.0.0.1:8000", url)), 0o600); err != nil {
			t.Fatal(err)
		}
		return code
	}
	t.Run("Python", func(t *testing.T) {
		python := testenv.PythonWith(t, "openai")
		open, _ := servers(t)
		if n := strings.Count(block(t, "python", "five.py", open), "\n"); n > 5 {
			t.Errorf("the example has %d lines, want at most 5", n)
		}
		if out := runClient(t, dir, python, "five.py"); strings.TrimSpace(out) != "two umbrellas on a yellow background" {
			t.Errorf("the example prints %q", out)
		}
	})
	t.Run("JavaScript", func(t *testing.T) {
		program, modules := node(t)
		open, _ := servers(t)
		if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
			t.Fatal(err)
		}
		block(t, "js", "example.mjs", open)
		if out := runClient(t, dir, program, "example.mjs"); strings.TrimSpace(out) == "" {
			t.Error("the example prints nothing")
		}
	})
	t.Run("curl", func(t *testing.T) {
		curl, err := exec.LookPath("curl")
		if err != nil {
			testenv.Lacking(t, "curl", err)
		}
		open, _ := servers(t)
		_, rest, _ := strings.Cut(string(text), "    curl http://127.0.0.1:8000")
		command, _, ok := strings.Cut(rest, "\n\n")
		if !ok {
			t.Fatal("docs/serving.md has no curl command")
		}
		if out := runClient(t, dir, "sh", "-ec", curl+" -sS "+open+command); !strings.Contains(out, "yellow") {
			t.Errorf("curl prints %q", out)
		}
	})
}
