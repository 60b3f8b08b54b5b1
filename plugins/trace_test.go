package plugins

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

// logged opens a fake whose host logs at a level.
func logged(t *testing.T, mode string, level slog.Level, transport Transport) (adapters.LanguageModel, *syncBuffer) {
	t.Helper()
	var buf syncBuffer
	cfg := config(t, mode, "language")
	cfg.Transport = transport
	cfg.Logger = slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: level, ReplaceAttr: NameTrace}))
	return openLanguage(t, cfg), &buf
}

func TestTraceShowsEveryCall(t *testing.T) { eachTransport(t, testTraceShowsEveryCall) }

func testTraceShowsEveryCall(t *testing.T, transport Transport) {
	m, log := logged(t, "normal", LevelTrace, transport)
	way := map[Transport]string{TransportShared: "arena", TransportGRPC: "chunks"}[transport]
	req := lossRequest(true)
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
		line := lineWith(log.String(), want[0])
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
	m, log := logged(t, "crash at loss", LevelTrace, TransportAuto)
	_, err := m.Loss(t.Context(), lossRequest(false))
	wantError(t, err, adapters.Unavailable)
	if line := lineWith(log.String(), "rpc=Loss "); !strings.Contains(line, "error=") {
		t.Errorf("no error in %q", line)
	}
}

func TestWithoutTraceNoCallIsLogged(t *testing.T) {
	m, log := logged(t, "normal", slog.LevelDebug, TransportAuto)
	if _, err := m.Loss(t.Context(), lossRequest(false)); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(log.String(), "rpc=") {
		t.Errorf("calls are logged: %s", log)
	}
}

func lineWith(log, text string) string {
	for line := range strings.Lines(log) {
		if strings.Contains(line, text) {
			return line
		}
	}
	return ""
}

// What a plugin logs arrives at the level that it has there, and what the host
// does not want to see is not even sent.
func TestPluginsLogger(t *testing.T) {
	for level, want := range map[slog.Level]string{
		LevelTrace:      "TRACE DEBUG INFO WARN",
		slog.LevelDebug: "DEBUG INFO WARN",
		slog.LevelInfo:  "INFO WARN",
		slog.LevelWarn:  "WARN",
	} {
		m, log := logged(t, "logs", level, TransportAuto)
		if _, err := m.Loss(t.Context(), lossRequest(false)); err != nil {
			t.Fatal(err)
		}
		m.Close()
		var got []string
		for _, name := range []string{"TRACE", "DEBUG", "INFO", "WARN"} {
			line := lineWith(log.String(), "said at "+name)
			if line != "" {
				got = append(got, name)
			}
			if line != "" && !strings.HasPrefix(line[strings.Index(line, "level="):], "level="+name+" ") {
				t.Errorf("what is said at %s is logged as %q", name, line)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("a host at level %v shows %v, want %s", level, got, want)
		}
	}
}
