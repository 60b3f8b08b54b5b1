package host

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/plugins/internal/plugintest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	eachTransport(t, func(t *testing.T, transport Transport) {
		in := func(family string) Config {
			cfg := config(t, "normal", family)
			cfg.Transport = transport
			return cfg
		}
		adaptertest.TestLanguage(t, func() adapters.LanguageModel {
			return openLanguage(t, in("language"))
		}, adaptertest.Options{GradientTolerance: 1e-3})
		adaptertest.TestVision(t, func() adapters.VisionEncoder {
			m, err := OpenVision(t.Context(), in("vision"))
			if err != nil {
				t.Fatal(err)
			}
			return m
		})
	})
}

func TestBothSidesAgreeToTheBit(t *testing.T) {
	t.Parallel()
	req := plugintest.LossRequest(true)
	want, err := adaptertest.NewFakeLanguage("tiny", 1).Loss(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	m := openLanguage(t, config(t, "normal", "language"))
	if got := m.Spec(); !reflect.DeepEqual(got, adaptertest.NewFakeLanguage("tiny", 1).Spec()) {
		t.Errorf("spec is %+v", got)
	}
	got, err := m.Loss(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Error("losses or gradient across the process boundary differ from those in process")
	}
}

// TestRestart lets the plugin die once at each place. The repeated request must have the same
// result as without the death.
func TestRestart(t *testing.T) {
	t.Parallel()
	fake := adaptertest.NewFakeLanguage("tiny", 1)
	loss, score := plugintest.LossRequest(true), &adapters.ScoreRequest{
		Examples:   plugintest.LossRequest(false).Examples[:1],
		Prompts:    plugintest.LossRequest(false).Prompts,
		Candidates: [][]string{{"a", "b"}},
	}
	generate := adapters.GenerateRequest{Prompts: loss.Prompts, Examples: loss.Examples}
	for i := range loss.Examples {
		generate.Rows = append(generate.Rows, adapters.GenerateOptions{MinNewTokens: 8, MaxNewTokens: 8 + i, LogProbs: i%2 == 0, TopLogProbs: 2 * (1 - i%2)})
	}
	for place, ask := range map[string]func(m adapters.LanguageModel) (any, error){
		"loss": func(m adapters.LanguageModel) (any, error) { return m.Loss(t.Context(), loss) },
		"score": func(m adapters.LanguageModel) (any, error) {
			return m.(adapters.Scorer).Score(t.Context(), score)
		},
		"embed": func(m adapters.LanguageModel) (any, error) {
			return m.(adapters.TokenEmbedder).EmbedTokens(t.Context(), &adapters.EmbedTokensRequest{})
		},
		"count": func(m adapters.LanguageModel) (any, error) {
			return m.(adapters.TokenCounter).CountTokens(t.Context(), []string{"a", "bc"})
		},
		"generate": func(m adapters.LanguageModel) (any, error) {
			var pieces []adapters.Piece
			req, canceled := generate, make(chan int, 1)
			canceled <- len(req.Examples) - 1 // in every attempt
			req.Cancel = canceled
			resp, err := m.Generate(t.Context(), &req, func(p adapters.Piece) error {
				pieces = append(pieces, p)
				return nil
			})
			return []any{resp, pieces}, err
		},
	} {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			want, err := ask(fake)
			if err != nil {
				t.Fatal(err)
			}
			cfg := config(t, "crash once at "+place, "language")
			got, err := ask(openLanguage(t, cfg))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("after a restart got %v, want %v", got, want)
			}
			if _, err := os.Stat(strings.TrimPrefix(cfg.Env[1], plugintest.OnceKey+"=")); err != nil {
				t.Errorf("the plugin has not died: %v", err)
			}
		})
	}
	t.Run("encode", func(t *testing.T) {
		t.Parallel()
		m, err := OpenVision(t.Context(), config(t, "crash once at encode", "vision"))
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		images := adapters.NewTensor(adapters.Uint8, 2, 8, 8, 3)
		images.Data[5] = 9
		got, err := m.Encode(t.Context(), &adapters.EncodeRequest{Images: images})
		if err != nil {
			t.Fatal(err)
		}
		want, _ := adaptertest.NewFakeVision("tiny", 1).Encode(t.Context(), &adapters.EncodeRequest{Images: images})
		if !reflect.DeepEqual(got, want) {
			t.Error("features after a restart differ")
		}
	})
}

func TestRestartServesEveryCaller(t *testing.T) {
	t.Parallel()
	m := openLanguage(t, config(t, "crash once at loss", "language"))
	want, err := adaptertest.NewFakeLanguage("tiny", 1).Loss(t.Context(), plugintest.LossRequest(true))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			got, err := m.Loss(t.Context(), plugintest.LossRequest(true))
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got another loss, or error %v", err)
			}
		})
	}
	wg.Wait()
}

func TestIdleDeath(t *testing.T) {
	t.Parallel()
	p, err := Launch(t.Context(), config(t, "normal", "language"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	old := p.current.runner
	_ = old.Kill(t.Context())
	<-old.done
	m, err := p.Language()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Loss(t.Context(), plugintest.LossRequest(false)); err != nil {
		t.Error(err)
	}
	if p.current.runner == old {
		t.Error("the plugin was not started anew")
	}
}

func TestLastErrorListsEveryDeath(t *testing.T) {
	t.Parallel()
	cfg := config(t, "crash at loss", "language")
	cfg.Restart.Limit = 2
	m := openLanguage(t, cfg)
	_, err := m.Loss(t.Context(), plugintest.LossRequest(false))
	plugintest.WantError(t, err, adapters.Unavailable, "died 3 times", "plugin fake", "rpc Loss", "signal: killed", "dying at loss")
	if n := strings.Count(err.Error(), "dying at loss"); n != 1 || !strings.Contains(err.Error(), "signal: killed, 3 times") {
		t.Errorf("the error lists the same death %d times, want once, and how often it was:\n%v", n, err)
	}
	var where *ProcessError
	if !errors.As(err, &where) || where.RPC != "Loss" || where.Exit != "signal: killed" || where.Version == "" {
		t.Errorf("the error's cause is %+v", where)
	}
	spec := m.Spec()
	if got, err := m.(adapters.TokenCounter).CountTokens(t.Context(), []string{"ab"}); err != nil || got[0] != 2 || spec.ID != "tiny" {
		t.Errorf("after giving up on one request, another gives %v, %v", got, err)
	}
}

func TestAnotherModelAfterRestart(t *testing.T) {
	t.Parallel()
	p, err := Launch(t.Context(), config(t, "changed", "language"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	_ = p.current.runner.Kill(t.Context())
	<-p.current.runner.done
	m, _ := p.Language()
	_, err = m.Loss(t.Context(), plugintest.LossRequest(false))
	plugintest.WantError(t, err, adapters.Corrupt, "another model", "tiny")
}

func TestErrorsCross(t *testing.T) {
	t.Parallel()
	t.Run("failure", func(t *testing.T) {
		t.Parallel()
		m := openLanguage(t, config(t, "fail at loss", "language"))
		_, err := m.Loss(t.Context(), plugintest.LossRequest(false))
		var e *adapters.Error
		if !errors.As(err, &e) || e.Kind != adapters.Corrupt || e.Op != "reading" ||
			e.Message != "bad tensor: invalid argument" || e.Field != "model.safetensors: wte" || e.Remedy != "download it again" {
			t.Errorf("got %+v", e)
		}
		plugintest.WantError(t, err, adapters.Corrupt, "plugin fake", "rpc Loss", "(in model.safetensors: wte; download it again)")
	})
	t.Run("failure of load", func(t *testing.T) {
		t.Parallel()
		_, err := OpenLanguage(t.Context(), config(t, "fail at load", "language"))
		plugintest.WantError(t, err, adapters.Corrupt, "bad tensor", "rpc Load", "download it again")
	})
	t.Run("panic", func(t *testing.T) {
		t.Parallel()
		m := openLanguage(t, config(t, "panic at loss", "language"))
		_, err := m.Loss(t.Context(), plugintest.LossRequest(false))
		plugintest.WantError(t, err, adapters.Internal, "panic in the adapter: on purpose")
		if _, err := m.(adapters.TokenCounter).CountTokens(t.Context(), nil); err != nil {
			t.Errorf("after the panic: %v", err)
		}
	})
	t.Run("lie", func(t *testing.T) {
		t.Parallel()
		m := openLanguage(t, lying(config(t, "normal", "language")))
		req := plugintest.LossRequest(true)
		req.Examples = req.Examples[:1]
		_, err := m.Loss(t.Context(), req)
		plugintest.WantError(t, err, adapters.Internal, "broke the contract", "gradient is float32[1, 1, 1]")
		_, err = m.Generate(t.Context(), &adapters.GenerateRequest{Prompts: req.Prompts, Examples: req.Examples}, nil)
		plugintest.WantError(t, err, adapters.Unsupported, "plugin fake", "rpc Generate")
	})
	t.Run("wrong kind", func(t *testing.T) {
		t.Parallel()
		_, err := OpenVision(t.Context(), config(t, "normal", "language"))
		plugintest.WantError(t, err, adapters.Unsupported, "holds a language-model")
	})
	t.Run("no such family", func(t *testing.T) {
		t.Parallel()
		_, err := OpenVision(t.Context(), config(t, "normal", "sound"))
		plugintest.WantError(t, err, adapters.NotFound, "sound", "language")
	})
	t.Run("invalid UTF-8", func(t *testing.T) {
		t.Parallel()
		m := openLanguage(t, config(t, "normal", "language"))
		_, err := m.Loss(t.Context(), &adapters.LossRequest{Examples: []adapters.Example{
			{Segments: []adapters.Segment{adapters.TextSegment("a"), adapters.TextSegment("\xff")}}}})
		plugintest.WantError(t, err, adapters.Invalid, "UTF-8", "in examples[0].segments[1]")
	})
	t.Run("closed", func(t *testing.T) {
		t.Parallel()
		m := openLanguage(t, config(t, "normal", "language"))
		if err := errors.Join(m.Close(), m.Close()); err != nil {
			t.Error(err)
		}
		_, err := m.Loss(t.Context(), plugintest.LossRequest(false))
		plugintest.WantError(t, err, adapters.Invalid, "closed")
	})
}

func TestStart(t *testing.T) {
	t.Parallel()
	t.Run("missing", func(t *testing.T) {
		t.Parallel()
		_, err := Launch(t.Context(), Config{Path: "/no/such/plugin"})
		plugintest.WantError(t, err, adapters.NotFound, "/no/such/plugin")
	})
	t.Run("no plugin", func(t *testing.T) {
		t.Parallel()
		path, err := exec.LookPath("true")
		if err != nil {
			testenv.Lacking(t, "the program true", err)
		}
		_, err = Launch(t.Context(), Config{Path: path})
		plugintest.WantError(t, err, adapters.Unavailable, "failed to start", "exit status 0")
	})
	t.Run("exits", func(t *testing.T) {
		t.Parallel()
		_, err := Launch(t.Context(), config(t, "exit", "language"))
		plugintest.WantError(t, err, adapters.Unavailable, "exit status 3", "cannot find libfake.so")
	})
	t.Run("dies loading", func(t *testing.T) {
		t.Parallel()
		_, err := Launch(t.Context(), config(t, "crash at load", "language"))
		plugintest.WantError(t, err, adapters.Unavailable, "rpc Load", "signal: killed", "dying at load")
	})
	t.Run("no handshake", func(t *testing.T) {
		t.Parallel()
		cfg := config(t, "no handshake", "language")
		cfg.StartTimeout = 100 * time.Millisecond
		_, err := Launch(t.Context(), cfg)
		plugintest.WantError(t, err, adapters.Unavailable, "no handshake within", "by hand")
	})
	t.Run("canceled", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err := Launch(ctx, config(t, "no handshake", "language"))
		plugintest.WantError(t, err, adapters.Canceled)
	})

}

func TestEnvironment(t *testing.T) {
	t.Setenv(plugintest.SecretKey, "hush")
	t.Setenv("GOMLX_BACKEND", "go:parallelism=-1")
	cfg := config(t, "secret", "language")
	cfg.Env = append(cfg.Env, "BRIDGE_TEST_GIVEN=yes")
	_, err := openLanguage(t, cfg).Loss(t.Context(), plugintest.LossRequest(false))
	plugintest.WantError(t, err, adapters.NotFound, `leaked false, given "yes", backend "go:parallelism=-1"`)
}

func TestCancel(t *testing.T) {
	t.Parallel()
	m := openLanguage(t, config(t, "hang at loss", "language"))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	done := make(chan error, 1)
	go func() {
		_, err := m.Loss(ctx, plugintest.LossRequest(false))
		done <- err
	}()
	select {
	case err := <-done:
		plugintest.WantError(t, err, adapters.Canceled)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v is not context.Canceled", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the call goes on after its context has ended")
	}
}

func TestLogTakesWhatThePluginPrints(t *testing.T) {
	t.Parallel()
	var buf plugintest.Buffer
	cfg := config(t, "crash once at loss", "language")
	cfg.Logger = slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if _, err := openLanguage(t, cfg).Loss(t.Context(), plugintest.LossRequest(false)); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"dying at loss", "plugin=fake", "started again"} {
		if !strings.Contains(buf.String(), text) {
			t.Errorf("the log lacks %q:\n%s", text, buf.String())
		}
	}
}
