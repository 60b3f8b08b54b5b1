package host

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/plugintest"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// runHost is the main function of a host that will be killed. It prints the plugin's
// process id and private folder, and waits in a call that does not end. If the plugin never
// gets so far, it prints right after the start.
func runHost(mode string) {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	var plugin int
	var folder string
	report := func() { fmt.Println(plugin, folder) }
	cfg := Config{Path: path, Family: "language", Load: adapters.LoadRequest{ID: "tiny"},
		Env: []string{plugintest.ModeKey + "=" + mode, plugintest.DetachedKey}}
	cfg.Prepare = func(cmd *exec.Cmd) error {
		folder = filepath.Dir(cmd.Dir)
		return nil
	}
	cfg.Started = func(pid int) {
		if plugin = pid; mode == "no handshake" {
			report()
		}
	}
	m, err := OpenLanguage(context.Background(), cfg)
	if err != nil {
		panic(err)
	}
	report()
	_, err = m.Loss(context.Background(), plugintest.LossRequest(false))
	panic(err)
}

// runNextHost is the main function of a host that starts no plugin: it makes a folder for
// one, which removes what dead hosts have left.
func runNextHost() {
	dir, err := wire.NewSocketDir()
	if err != nil {
		panic(err)
	}
	dir.Remove()
	os.Exit(0)
}

// hosts starts hosts in processes of their own. They have a folder for sockets of their own,
// too: hosts of other tests would remove what a killed host leaves.
type hosts struct {
	t         *testing.T
	temporary string
}

func newHosts(t *testing.T) *hosts {
	t.Helper()
	temporary, err := os.MkdirTemp("/tmp", "b") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(temporary) })
	return &hosts{t, temporary}
}

func (h *hosts) command(mode string, env ...string) *exec.Cmd {
	h.t.Helper()
	path, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	cmd := exec.Command(path)
	cmd.Env = append(append(os.Environ(), plugintest.ModeKey+"="+mode, "TMPDIR="+h.temporary), env...)
	cmd.Stderr = os.Stderr
	return cmd
}

// start starts a host, and returns it with its plugin's process id and folder.
func (h *hosts) start(mode string, env ...string) (host *exec.Cmd, plugin int, folder string) {
	h.t.Helper()
	cmd := h.command("host: "+mode, env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	id, folder, ok := strings.Cut(strings.TrimSpace(line), " ")
	pid, _ := strconv.Atoi(id)
	if err != nil || !ok || pid <= 0 {
		h.t.Fatalf("the host says %q, %v", line, err)
	}
	h.t.Cleanup(func() { _ = syscall.Kill(-pid, syscall.SIGKILL) })
	return cmd, pid, folder
}

// next runs another host, which removes what dead hosts have left.
func (h *hosts) next() {
	h.t.Helper()
	if err := h.command("next host").Run(); err != nil {
		h.t.Fatal(err)
	}
}

func kill(host *exec.Cmd) {
	_ = host.Process.Kill()
	_ = host.Wait()
}

func TestKilledHostLeavesNoProcess(t *testing.T) {
	t.Parallel()
	h := newHosts(t)
	host, plugin, folder := h.start("hang at loss")
	kill(host)
	plugintest.WaitFor(t, "the plugin to end with its host", func() bool { return !plugintest.Alive(plugin) })
	if _, err := os.Stat(folder); err != nil {
		t.Fatalf("the killed host has no socket folder that could be swept: %v", err)
	}
	h.next()
	if _, err := os.Stat(folder); err == nil {
		t.Error("the socket folder of the killed host is still there after a sweep")
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	t.Parallel()
	p, err := Launch(t.Context(), config(t, "hang at loss", "language"))
	if err != nil {
		t.Fatal(err)
	}
	i := p.current
	info, err := os.Stat(i.dir.Path)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the socket folder is %v, %v; want mode 0700", info, err)
	}
	m, err := p.Language()
	if err != nil {
		t.Fatal(err)
	}
	lost := make(chan error, 1)
	go func() {
		_, err := m.Loss(context.Background(), plugintest.LossRequest(false))
		lost <- err
	}()
	time.Sleep(50 * time.Millisecond)
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	plugintest.WantError(t, <-lost, adapters.Invalid, "closed")
	if _, ended := i.runner.ended(); !ended {
		t.Error("the process runs after Close")
	}
	if left, _ := filepath.Glob(i.dir.Path + "*"); len(left) > 0 {
		t.Errorf("Close leaves %v", left)
	}
}

// Close ends a process that answers nothing, not even the request to shut down.
func TestCloseEndsAStoppedProcess(t *testing.T) {
	t.Parallel()
	p, err := Launch(t.Context(), config(t, "normal", "language"))
	if err != nil {
		t.Fatal(err)
	}
	i := p.current
	pid, err := strconv.Atoi(i.runner.ID())
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() { closed <- p.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		_ = i.runner.Kill(t.Context())
		t.Fatal("Close waits for a process that does not answer")
	}
	if _, ended := i.runner.ended(); !ended || plugintest.Alive(pid) {
		t.Error("the process is there after Close")
	}
}
