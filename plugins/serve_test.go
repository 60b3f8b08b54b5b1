package plugins_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins"
	"github.com/modular-bridging/bridge/plugins/host"
	"github.com/modular-bridging/bridge/plugins/internal/plugintest"
)

// A program that was started by hand prints its purpose.
func TestStartedByHand(t *testing.T) {
	t.Parallel()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path)
	cmd.Env = append(os.Environ(), plugintest.Env(t, "normal")...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "started by hand") {
		t.Errorf("got %v and %q", err, out)
	}
}

func TestFamiliesAreChecked(t *testing.T) {
	t.Parallel()
	language := func(context.Context, *adapters.LoadRequest) (adapters.LanguageModel, error) { return nil, nil }
	for name, families := range map[string][]adapters.Family{
		"none":         nil,
		"no function":  {{Name: "x", Kind: adapters.KindLanguage}},
		"another kind": {{Name: "x", Kind: adapters.KindVision, OpenLanguage: language}},
	} {
		if err := plugins.ServeWith(plugins.ServeConfig{Families: families}); adapters.KindOf(err) != adapters.Invalid || strings.Contains(err.Error(), "by hand") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestStdoutIsProtected(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"noise before", "noise at load", "noise at loss"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			m := open(t, mode, nil)
			for range 3 {
				if _, err := m.Loss(t.Context(), plugintest.LossRequest(false)); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestLoadReportsProgress(t *testing.T) {
	t.Parallel()
	var got []adapters.Progress
	open(t, "slow at load", func(c *host.Config) {
		c.Load.Progress = func(p adapters.Progress) { got = append(got, p) }
	})
	if len(got) != 5 || got[4] != (adapters.Progress{Stage: "weights", Done: 5, Total: 5}) {
		t.Errorf("progress is %v", got)
	}
}
