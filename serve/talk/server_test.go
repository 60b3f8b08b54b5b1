package talk_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/serve"
	"github.com/modular-bridging/bridge/serve/config"
	"github.com/modular-bridging/bridge/workspace"
)

// bridges are the names of the server's bridges: one that was trained, and a random one, whose answers
// differ.
var bridges = []string{"trained", "random"}

// newServer returns the handler of a real server, which all tests share.
func newServer(t *testing.T) http.Handler {
	t.Helper()
	return shared(t).Handler()
}

var opened struct {
	sync.Once
	server *serve.Server
	err    error
}

func shared(t *testing.T) *serve.Server {
	t.Helper()
	opened.Do(func() {
		opened.server = serve.New(serve.Options{Workspace: workspace.New(workspace.Options{}), Config: configuration(bridges...)})
		opened.err = opened.server.Load(t.Context())
	})
	if opened.err != nil {
		t.Fatal(opened.err)
	}
	return opened.server
}

// configuration serves bridges in this process.
func configuration(names ...string) config.Config {
	models := map[string]string{bridges[0]: "kit:stage2", bridges[1]: filepath.Join(testenv.Root(), "bridge", "testdata", "golden-opt", "checkpoint")}
	c := config.Default()
	for _, name := range names {
		c.Bridges = append(c.Bridges, config.Bridge{Name: name, Model: models[name], Backend: "go", Isolation: workspace.IsolationNone})
	}
	return c
}

// newServerWithKey returns the handler of a server that asks for an API key. It loads its bridge when it
// is first asked.
func newServerWithKey(t *testing.T, key string) http.Handler {
	t.Helper()
	c := configuration(bridges[1])
	if err := c.Keys.Add("test", key); err != nil {
		t.Fatal(err)
	}
	s := serve.New(serve.Options{Workspace: workspace.New(workspace.Options{}), Config: c})
	t.Cleanup(s.Close)
	return s.Handler()
}

func TestMain(m *testing.M) {
	status := m.Run()
	if opened.server != nil {
		opened.server.Close()
	}
	os.Exit(status)
}

// answerOf returns the answer that a program gets from the API, without streaming. An empty question
// asks for a caption.
func answerOf(t *testing.T, handler http.Handler, model, file, question string) string {
	t.Helper()
	picture, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	content := []any{map[string]any{"type": "image_url", "image_url": map[string]any{"url": "data:image/png;base64," + base64.StdEncoding.EncodeToString(picture)}}}
	if question != "" {
		content = append(content, map[string]any{"type": "text", "text": question})
	}
	body, err := json.Marshal(map[string]any{"model": model, "messages": []any{map[string]any{"role": "user", "content": content}}})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "http://localhost/v1/chat/completions", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	var answer struct {
		Choices []struct{ Message struct{ Content string } }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || len(answer.Choices) != 1 {
		t.Fatal(fmt.Errorf("status %d, %s: %w", w.Code, w.Body, err))
	}
	return answer.Choices[0].Message.Content
}
