package plugins

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
)

// debugged is a plugin that its author has started by hand.
type debugged struct {
	*exec.Cmd
	name  string
	value string // of BRIDGE_REATTACH
}

// startByHand starts this test binary as an author does, and returns when it
// has printed what to set.
func startByHand(t *testing.T, mode string) *debugged {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d := &debugged{Cmd: exec.Command(path), name: filepath.Base(path)}
	d.Env = append(os.Environ(), modeKey+"="+mode, debugKey+"=1", onceKey+"="+filepath.Join(t.TempDir(), "once"))
	d.Stderr = os.Stderr
	out, err := d.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Process.Kill(); _ = d.Wait() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "\texport "+reattachKey+"='"); ok {
			d.value = strings.TrimSuffix(value, "'")
			return d
		}
	}
	t.Fatalf("the plugin printed no %s: %v", reattachKey, lines.Err())
	return nil
}

// attachTo configures a host whose own way to start the plugin does not work.
func (d *debugged) attachTo(t *testing.T) Config {
	t.Helper()
	t.Setenv(reattachKey, d.value)
	return Config{Path: "/no/such/" + d.name, Family: "language", Load: adapters.LoadRequest{ID: "tiny"}}
}

func TestRunsAttachOneAfterTheOther(t *testing.T) {
	d := startByHand(t, "normal")
	want, err := adaptertest.NewFakeLanguage("tiny", 1).Loss(t.Context(), lossRequest(true))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"first", "second", "third"} {
		cfg := d.attachTo(t)
		cfg.Load.ID = id
		m, err := OpenLanguage(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if m.Spec().ID != id {
			t.Errorf("the model is %s's: it was not loaded anew for %s", m.Spec().ID, id)
		}
		got, err := m.Loss(t.Context(), lossRequest(true))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got another loss, or error %v", err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if !alive(d.Process.Pid) {
			t.Fatal("the host has ended a process that is not its own")
		}
	}
}

func TestOneRunAtATimeIsAttached(t *testing.T) {
	d := startByHand(t, "normal")
	m := openLanguage(t, d.attachTo(t))
	_, err := OpenLanguage(t.Context(), d.attachTo(t))
	wantError(t, err, adapters.Unavailable, "another run of bridge is attached", "rpc Load")
	if _, err := m.Loss(t.Context(), lossRequest(false)); err != nil {
		t.Errorf("the first run is disturbed: %v", err)
	}
}

func TestAttachedProcessIsGone(t *testing.T) {
	d := startByHand(t, "crash at loss")
	m := openLanguage(t, d.attachTo(t))
	for range 2 {
		_, err := m.Loss(t.Context(), lossRequest(false))
		wantError(t, err, adapters.Unavailable, "rpc Loss", reattachKey, fmt.Sprint("process ", d.Process.Pid))
	}
	_ = d.Wait()
	_, err := m.Loss(t.Context(), lossRequest(false))
	wantError(t, err, adapters.Unavailable, "is gone", "plugin "+d.name, "start it again")
	_, err = OpenLanguage(t.Context(), d.attachTo(t))
	wantError(t, err, adapters.Unavailable, "is gone", "rpc Load", "start it again")
}

func TestDebuggedPluginEndsAtInterrupt(t *testing.T) {
	d := startByHand(t, "normal")
	all, err := parseAttachments(d.value)
	if err != nil {
		t.Fatal(err)
	}
	socket := all[d.name].Addr.String
	info, err := os.Stat(filepath.Dir(filepath.Dir(socket)))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the socket %s without TLS is in reach of others: %v, %v", socket, info, err)
	}
	m := openLanguage(t, d.attachTo(t))
	if err := d.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := d.Wait(); err != nil {
		t.Errorf("the plugin ends with %v", err)
	}
	if _, err := os.Stat(socket); err == nil {
		t.Error("the socket is left")
	}
	_, err = m.Loss(t.Context(), lossRequest(false))
	wantError(t, err, adapters.Unavailable, "is gone")
}

func TestOtherPluginsAreStarted(t *testing.T) {
	d := startByHand(t, "normal")
	t.Setenv(reattachKey, d.value)
	p, err := Launch(t.Context(), config(t, "normal", "language")) // called "fake"
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.current.attached != nil || p.current.runner.ID() == fmt.Sprint(d.Process.Pid) {
		t.Error("a plugin of another name was attached to")
	}
}

func TestAttachmentIsFoundByName(t *testing.T) {
	good := func(name string, version int) string {
		return fmt.Sprintf(`{%q:{"Protocol":"grpc","ProtocolVersion":%d,"Pid":%d,"Test":true,"Addr":{"Network":"unix","String":"/tmp/x"}}}`,
			name, version, syscall.Getpid())
	}
	for given, name := range map[string]string{
		"mine": "mine", executablePrefix + "mine": "mine", "mi": "mi",
	} {
		t.Setenv(reattachKey, good(given, 1))
		for _, asked := range []string{name, executablePrefix + name} {
			if a, err := attachmentOf(asked); a == nil || err != nil || a.Addr.String != "/tmp/x" {
				t.Errorf("%q does not find %q: %v, %v", asked, given, a, err)
			}
		}
		if a, err := attachmentOf("min"); a != nil || err != nil {
			t.Errorf(`"min" finds %q: %v`, given, err)
		}
	}
	t.Setenv(reattachKey, good("mine", 9))
	_, err := Launch(t.Context(), Config{Name: "mine", Version: "v3"})
	wantError(t, err, adapters.Unsupported, "speaks version 9", "newer version of bridge", "plugin mine v3, rpc start")
	for text, says := range map[string]string{
		"nonsense":    "invalid character",
		`{"mine":{}}`: `the Protocol ""`,
		`{"mine":{"Protocol":"grpc","Addr":{"Network":"unix","String":"x"}}}`: `the address "x"`,
		`{"mine":{"Protocol":"grpc","Addr":{"Network":"udp","String":"x"}}}`:  `the network "udp"`,
	} {
		t.Setenv(reattachKey, text)
		_, err := Launch(t.Context(), Config{Name: "mine"})
		wantError(t, err, adapters.Invalid, reattachKey, says, "BRIDGE_DEBUG=1")
	}
}

func TestTheNextStartRemovesWhatAKilledDebuggedPluginLeaves(t *testing.T) {
	d := startByHand(t, "normal")
	all, err := parseAttachments(d.value)
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Dir(all[d.name].Addr.String)
	if _, err := os.Stat(folder); err != nil {
		t.Fatalf("there is no folder: %v", err)
	}
	if err := errors.Join(d.Process.Kill(), ignoreExit(d.Wait())); err != nil {
		t.Fatal(err)
	}
	next, err := newSocketDir()
	if err != nil {
		t.Fatal(err)
	}
	defer next.remove()
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
