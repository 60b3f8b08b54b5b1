package host

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/plugintest"
)

// TestEveryErrorSaysWhereItComesFrom lets a call fail in every way. The error always names
// plugin, version and RPC. If the process has ended, it says how, with its last lines.
func TestEveryErrorSaysWhereItComesFrom(t *testing.T) {
	t.Parallel()
	loss := func(ctx context.Context, m adapters.LanguageModel) error {
		_, err := m.Loss(ctx, plugintest.LossRequest(true))
		return err
	}
	for name, c := range map[string]struct {
		mode   string
		change func(*Config)
		ask    func(ctx context.Context, m adapters.LanguageModel) error
		rpc    string
		kind   adapters.Kind
		exit   string // how the process ended; empty: it runs
		last   string // line on stderr
	}{
		"refused":       {mode: "fail at loss", ask: loss, rpc: "Loss", kind: adapters.Corrupt},
		"panic":         {mode: "panic at loss", ask: loss, rpc: "Loss", kind: adapters.Internal, last: "panic: on purpose"},
		"death":         {mode: "crash at loss", ask: loss, rpc: "Loss", kind: adapters.Unavailable, exit: "signal: killed", last: "dying at loss"},
		"exit":          {mode: "exit at loss", ask: loss, rpc: "Loss", kind: adapters.Unavailable, exit: "exit status 7", last: "leaving at loss"},
		"death loading": {mode: "crash at load", rpc: "Load", kind: adapters.Unavailable, exit: "signal: killed", last: "dying at load"},
		"refused load":  {mode: "fail at load", rpc: "Load", kind: adapters.Corrupt},
		"panic loading": {mode: "panic at load", rpc: "Load", kind: adapters.Internal},
		"no start":      {mode: "exit", rpc: "start", kind: adapters.Unavailable, exit: "exit status 3", last: "cannot find libfake.so"},
		"no handshake":  {mode: "no handshake", change: func(c *Config) { c.StartTimeout = 50 * time.Millisecond }, rpc: "start", kind: adapters.Unavailable, exit: "killed by bridge: it printed no handshake"},
		"old version":   {mode: "print 1|0|unix|/x|grpc|", rpc: "start", kind: adapters.Unsupported},
		"lie":           {mode: "normal", change: func(c *Config) { *c = lying(*c) }, ask: loss, rpc: "Loss", kind: adapters.Internal},
		"no such method": {mode: "normal", change: func(c *Config) { *c = lying(*c) }, rpc: "Score", kind: adapters.Unsupported, ask: func(ctx context.Context, m adapters.LanguageModel) error {
			_, err := m.(adapters.Scorer).Score(ctx, &adapters.ScoreRequest{Examples: plugintest.LossRequest(false).Examples[:1], Prompts: plugintest.LossRequest(false).Prompts, Candidates: [][]string{{"a"}}})
			return err
		}},
		"no such family": {mode: "normal", change: func(c *Config) { c.Family = "sound" }, rpc: "Load", kind: adapters.NotFound},
		"canceled": {mode: "hang at loss", rpc: "Loss", kind: adapters.Canceled, ask: func(ctx context.Context, m adapters.LanguageModel) error {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(50*time.Millisecond, cancel)
			return loss(ctx, m)
		}},
		"canceled before": {mode: "normal", rpc: "Loss", kind: adapters.Canceled, ask: func(ctx context.Context, m adapters.LanguageModel) error {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return loss(ctx, m)
		}},
		"closed": {mode: "normal", rpc: "Loss", kind: adapters.Invalid, ask: func(ctx context.Context, m adapters.LanguageModel) error {
			return errors.Join(m.Close(), loss(ctx, m))
		}},
		"too slow": {mode: "hang at loss", ask: loss, change: func(c *Config) { c.Limits.Call = 50 * time.Millisecond },
			rpc: "Loss", kind: adapters.Unavailable, exit: "killed by bridge"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(t, c.mode, "language")
			cfg.Version, cfg.Restart.Limit = "v1.2", -1
			if c.change != nil {
				c.change(&cfg)
			}
			m, err := OpenLanguage(t.Context(), cfg)
			if err == nil {
				defer m.Close()
				if c.ask == nil {
					t.Fatal("the plugin was opened")
				}
				err = c.ask(t.Context(), m)
			}
			plugintest.WantError(t, err, c.kind, "plugin fake ", ", rpc "+c.rpc, c.exit)
			var where *ProcessError
			if !errors.As(err, &where) {
				t.Fatalf("%v has no ProcessError", err)
			}
			if where.Plugin != "fake" || where.Version == "" || where.RPC != c.rpc || !strings.HasPrefix(where.Exit, c.exit) || (c.exit == "") != (where.Exit == "") {
				t.Errorf("the error comes from %+v", where)
			}
			if c.exit != "" && c.last != "" && !strings.Contains(err.Error(), c.last) {
				t.Errorf("%q is not in %v", c.last, err)
			}
		})
	}
}

// A plugin's texts are shown without characters that a terminal obeys.
func TestPluginsTextsMoveNoTerminal(t *testing.T) {
	t.Parallel()
	cfg := config(t, "control characters at loss", "language")
	cfg.Restart.Limit = -1
	m := openLanguage(t, cfg)
	for _, kind := range []adapters.Kind{adapters.Unavailable, adapters.Corrupt} { // by its last line, by its failure
		_, err := m.Loss(t.Context(), plugintest.LossRequest(false))
		plugintest.WantError(t, err, kind, `\x1b[2Jall is well`)
		if err != nil && strings.ContainsAny(err.Error(), "\x1b\r") {
			t.Errorf("the error has what a terminal obeys: %q", err)
		}
	}
}

// The error has everything that a plugin printed before it failed or died: it is in the pipe
// when the host learns of that, even if nobody has read it yet.
func TestErrorsHaveTheLastLines(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string][]string{
		"long output at loss":          {"\tValueError: the last word", "line 1999\n"},
		"long output, death at loss":   {"signal: killed", "\tValueError: the last word", "line 1999\n"},
		"panic of a goroutine at loss": {"exit status 2", "\tpanic: deep down\n", "plugintest.dig(", "created by "},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			cfg := config(t, mode, "language")
			cfg.Restart.Limit = -1
			m := openLanguage(t, cfg)
			for range 10 {
				_, err := m.Loss(t.Context(), plugintest.LossRequest(false))
				if err == nil {
					t.Fatal("no error")
				}
				for _, text := range want {
					if !strings.Contains(err.Error(), text) {
						t.Fatalf("no %q in %v", text, err)
					}
				}
			}
		})
	}
}

// Each error states a fact once.
func TestErrorsSayAThingOnce(t *testing.T) {
	t.Parallel()
	for mode, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"exit": {want: "start: the plugin failed to start: it exited before the handshake: plugin fake, rpc start: exit status 3; its last lines on stderr:\n" +
			"\tcannot find libfake.so\n(its last lines above say why)"},
		"closes stdout": {want: "start: the plugin failed to start: plugin fake, rpc start: killed by bridge: it closed its standard output without a handshake " +
			"(start the program by hand: a plugin of bridge prints that it is one)"},
		"exit at loss": {want: "loss: the plugin died 3 times in a row at this request: plugin fake of unknown version, rpc Loss: exit status 7, 3 times; its last lines on stderr:\n" +
			"\tleaving at loss\n(its last lines above say why)"},
		"hang at loss": {change: func(c *Config) { c.Limits.Call, c.Restart.Limit = 100*time.Millisecond, -1 },
			want: "loss: the plugin died: plugin fake of unknown version, rpc Loss: killed by bridge: it did not answer within 100ms " +
				"(raise call_timeout if a call may take longer; otherwise the plugin hangs: report it to its author)"},
		"exit, then crash at loss": {want: "loss: the plugin died 3 times in a row at this request: plugin fake of unknown version, rpc Loss: exit status 7; its last lines on stderr:\n" +
			"\tthe first time\nthen, rpc Loss: signal: killed, 2 times; its last lines on stderr:\n\tdying at loss\n(too little memory is the usual reason, if its last lines say no other)"},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			cfg := config(t, mode, "language")
			cfg.Restart.Limit = 2
			if c.change != nil {
				c.change(&cfg)
			}
			m, err := OpenLanguage(t.Context(), cfg)
			if err == nil {
				defer m.Close()
				_, err = m.Loss(t.Context(), plugintest.LossRequest(false))
			}
			if err == nil || err.Error() != c.want {
				t.Errorf("got\n%v\nwant\n%s", err, c.want)
			}
		})
	}
}

// A program that exits at once, even with status 0, is no plugin.
func TestSilentEndSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		"exit 0":        "start: the plugin failed to start: it exited before the handshake: plugin shell, rpc start: exit status 0 (start the program by hand: a plugin of bridge prints that it is one)",
		"kill -KILL $$": "start: the plugin failed to start: it exited before the handshake: plugin shell, rpc start: signal: killed (too little memory is the usual reason)",
	} {
		if _, err := OpenLanguage(t.Context(), shell(t, script)); err == nil || err.Error() != want {
			t.Errorf("%s: got\n%v\nwant\n%s", script, err, want)
		}
	}
}

// A busy plugin may take longer for its handshake.
func TestSlowStart(t *testing.T) {
	t.Parallel()
	cfg := config(t, "slow start", "language")
	cfg.StartTimeout = 400 * time.Millisecond
	openLanguage(t, cfg)
}
