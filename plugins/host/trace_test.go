package host

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/loglevel"
	"github.com/modular-bridging/bridge/plugins/internal/plugintest"
)

// logged opens a fake whose host logs at a level.
func logged(t *testing.T, mode string, level slog.Level, transport Transport) (adapters.LanguageModel, *plugintest.Buffer) {
	t.Helper()
	var buf plugintest.Buffer
	cfg := config(t, mode, "language")
	cfg.Transport = transport
	cfg.Logger = slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: level, ReplaceAttr: loglevel.NameTrace}))
	return openLanguage(t, cfg), &buf
}

func TestTraceShowsEveryCall(t *testing.T) { eachTransport(t, testTraceShowsEveryCall) }

func testTraceShowsEveryCall(t *testing.T, transport Transport) {
	m, log := logged(t, "normal", LevelTrace, transport)
	way := map[Transport]string{TransportShared: "arena", TransportGRPC: "chunks"}[transport]
	req := plugintest.LossRequest(true)
	if _, err := m.Loss(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if _, err := m.(adapters.TokenCounter).CountTokens(t.Context(), []string{"a", "b", "c"}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Generate(t.Context(), &adapters.GenerateRequest{Examples: req.Examples, Prompts: req.Prompts}, nil); err != nil {
		t.Fatal(err)
	}
	m.Close()
	bytes := len(req.Prompts.Data)
	for _, want := range [][]string{
		{"rpc=Load ", "took=", "sent=", "received_messages=2"},
		{"rpc=Loss ", "examples=2", fmt.Sprintf("sent_by_%s=%d ", way, bytes), fmt.Sprintf("received_by_%s=%d", way, bytes)},
		{"rpc=CountTokens ", "examples=3", "sent_messages=1"},
		{"rpc=Generate ", "examples=2"},
	} {
		line := plugintest.LineWith(log.String(), want[0])
		for _, text := range append(want, "level=TRACE", "plugin=fake") {
			if !strings.Contains(line, text) {
				t.Errorf("the line of %slacks %q: %q", want[0], text, line)
			}
		}
	}
	if strings.Contains(log.String(), "GRPC") {
		t.Errorf("go-plugin's own calls are in the log:\n%s", log)
	}
}

func TestTraceShowsWhyACallFailed(t *testing.T) {
	t.Parallel()
	m, log := logged(t, "crash at loss", LevelTrace, TransportAuto)
	_, err := m.Loss(t.Context(), plugintest.LossRequest(false))
	plugintest.WantError(t, err, adapters.Unavailable)
	if line := plugintest.LineWith(log.String(), "rpc=Loss "); !strings.Contains(line, "error=") {
		t.Errorf("no error in %q", line)
	}
}

func TestWithoutTraceNoCallIsLogged(t *testing.T) {
	t.Parallel()
	m, log := logged(t, "normal", slog.LevelDebug, TransportAuto)
	if _, err := m.Loss(t.Context(), plugintest.LossRequest(false)); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(log.String(), "rpc=") {
		t.Errorf("calls are logged: %s", log)
	}
}
