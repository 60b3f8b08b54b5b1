package plugins_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/plugins/host"
	"github.com/modular-bridging/bridge/plugins/internal/plugintest"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// attachTo returns the configuration of a host that cannot start the plugin itself.
func attachTo(t *testing.T, d *plugintest.Debugged) host.Config {
	t.Helper()
	t.Setenv(wire.ReattachKey, d.Value)
	return host.Config{Path: "/no/such/" + d.Name, Family: "language", Load: adapters.LoadRequest{ID: "tiny"}}
}

func attached(t *testing.T, d *plugintest.Debugged) adapters.LanguageModel {
	t.Helper()
	m, err := host.OpenLanguage(t.Context(), attachTo(t, d))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func TestRunsAttachOneAfterAnother(t *testing.T) {
	d := plugintest.Debug(t, "normal")
	want, err := adaptertest.NewFakeLanguage("tiny", 1).Loss(t.Context(), plugintest.LossRequest(true))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"first", "second", "third"} {
		cfg := attachTo(t, d)
		cfg.Load.ID = id
		m, err := host.OpenLanguage(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if m.Spec().ID != id {
			t.Errorf("the model is %s's: it was not loaded again for %s", m.Spec().ID, id)
		}
		got, err := m.Loss(t.Context(), plugintest.LossRequest(true))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("the loss differs, or error %v", err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if !plugintest.Alive(d.Process.Pid) {
			t.Fatal("the host has ended a process that it did not start")
		}
	}
}

func TestOneRunAtATimeIsAttached(t *testing.T) {
	d := plugintest.Debug(t, "normal")
	m := attached(t, d)
	_, err := host.OpenLanguage(t.Context(), attachTo(t, d))
	plugintest.WantError(t, err, adapters.Unavailable, "another run of bridge is attached", "rpc Load")
	if _, err := m.Loss(t.Context(), plugintest.LossRequest(false)); err != nil {
		t.Errorf("the first run is disturbed: %v", err)
	}
}

func TestDebuggedPluginEndsAtInterrupt(t *testing.T) {
	d := plugintest.Debug(t, "normal")
	socket := d.Socket(t)
	info, err := os.Stat(filepath.Dir(filepath.Dir(socket)))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("others can reach the socket %s, which has no TLS: %v, %v", socket, info, err)
	}
	m := attached(t, d)
	if err := d.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := d.Wait(); err != nil {
		t.Errorf("the plugin ends with %v", err)
	}
	if _, err := os.Stat(socket); err == nil {
		t.Error("the socket is left")
	}
	_, err = m.Loss(t.Context(), plugintest.LossRequest(false))
	plugintest.WantError(t, err, adapters.Unavailable, "is gone")
}

func TestNextStartRemovesTheFolderOfAKilledPlugin(t *testing.T) {
	t.Parallel()
	d := plugintest.Debug(t, "normal")
	folder := filepath.Dir(d.Socket(t))
	if _, err := os.Stat(folder); err != nil {
		t.Fatalf("there is no folder: %v", err)
	}
	if err := errors.Join(d.Process.Kill(), ignoreExit(d.Wait())); err != nil {
		t.Fatal(err)
	}
	next, err := wire.NewSocketDir()
	if err != nil {
		t.Fatal(err)
	}
	defer next.Remove()
	if left, _ := filepath.Glob(folder + "*"); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

func ignoreExit(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}
