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

// runHost is the main function of a host that is killed: it prints the
// plugin's process id and waits in a call that does not end.
func runHost(mode string) {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	p, err := Launch(context.Background(), Config{Path: path, Family: "language", Load: adapters.LoadRequest{ID: "tiny"},
		Env: []string{plugintest.ModeKey + "=" + mode, plugintest.DetachedKey}})
	if err != nil {
		panic(err)
	}
	m, err := p.Language()
	if err != nil {
		panic(err)
	}
	fmt.Println(p.current.runner.ID(), p.current.dir.Path)
	_, err = m.Loss(context.Background(), plugintest.LossRequest(false))
	panic(err)
}

func TestKilledHostLeavesNoProcess(t *testing.T) {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd, pid, sock := startHost(t, path, "host")
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	for deadline := time.Now().Add(20 * time.Second); plugintest.Alive(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatal("the plugin outlives its host")
		}
	}
	if _, err := os.Stat(sock); err != nil {
		t.Fatalf("the killed host has no socket folder that could be swept: %v", err)
	}
	next, err := wire.NewSocketDir()
	if err != nil {
		t.Fatal(err)
	}
	defer next.Remove()
	if _, err := os.Stat(sock); err == nil {
		t.Error("the socket folder of the killed host is still there after a sweep")
	}
}

// startHost starts a host and returns it, its plugin's process id, and that's folder.
func startHost(t *testing.T, path, mode string, env ...string) (host *exec.Cmd, plugin int, sock string) {
	t.Helper()
	cmd := exec.Command(path)
	cmd.Env = append(append(os.Environ(), plugintest.ModeKey+"="+mode), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	id, sock, ok := strings.Cut(strings.TrimSpace(line), " ")
	pid, _ := strconv.Atoi(id)
	if err != nil || !ok || pid <= 0 {
		t.Fatalf("the host says %q, %v", line, err)
	}
	return cmd, pid, sock
}

func TestCloseLeavesNothing(t *testing.T) {
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

// A process that answers nothing at all, not even that it is to end, is ended.
func TestCloseEndsAStoppedProcess(t *testing.T) {
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
