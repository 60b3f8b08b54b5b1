package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/modular-bridging/bridge/internal/procfs"
)

// process is a running `bridge serve`.
type process struct {
	command *exec.Cmd
	url     string
	key     string // for /metrics; empty: none is needed
	log     string // file of what it prints to stderr
	ended   chan struct{}
}

// startServer starts `bridge serve` in a folder, where its log is written, and waits until it prints its URL.
func startServer(ctx context.Context, program, dir string, args ...string) (*process, error) {
	program, err := filepath.Abs(program)
	if err != nil {
		return nil, err
	}
	p := &process{log: filepath.Join(dir, "serve.log"), ended: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.command = exec.CommandContext(ctx, program, append([]string{"serve", "--addr", "127.0.0.1:0"}, args...)...)
	p.command.Cancel = func() error { return p.command.Process.Signal(syscall.SIGTERM) }
	p.command.Stderr = log
	out, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = p.command.Wait()
		text, _ := os.ReadFile(p.log)
		return nil, fmt.Errorf("bridge serve printed no URL: %w\n%s", err, text)
	}
	p.url = strings.TrimSpace(line)
	go func() {
		_ = p.command.Wait()
		close(p.ended)
	}()
	return p, nil
}

// stop ends the server as an operator does, and waits for it.
func (p *process) stop() error {
	_ = p.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		_ = p.command.Process.Kill()
		return errors.New("bridge serve did not end within a minute of SIGTERM")
	}
	if code := p.command.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("bridge serve ended with status %d, want 0; its log is %s", code, p.log)
	}
	return nil
}

// children returns the processes of the frozen models.
func (p *process) children() (pids []int) {
	for c := range procfs.All() {
		if c.Parent == p.command.Process.Pid && !c.Ended() {
			pids = append(pids, c.PID)
		}
	}
	return pids
}

// usage counts what a server holds at a time.
type usage struct {
	memory, models    int // resident MB of the server, and of its models' processes
	heap              int // MB in use
	files, goroutines int
	processes         int
	opened            int // bridges, since the start
}

// usage measures the server now.
func (p *process) usage() (usage, error) {
	pid := p.command.Process.Pid
	u := usage{memory: resident(pid)}
	for _, c := range p.children() {
		u.processes++
		u.models += resident(c)
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return u, err
	}
	u.files = len(files)
	figures, err := p.metrics()
	u.goroutines, u.heap = int(figures["go_goroutines"]), int(figures["go_memstats_heap_inuse_bytes"])>>20
	u.opened = int(figures["bridge_opened_bridges_total"])
	return u, err
}

// resident returns the resident memory of a process in MB; 0 if it has ended.
func resident(pid int) int {
	bytes, _ := procfs.Resident(pid)
	return int(bytes >> 20)
}

// metrics reads the figures without labels of /metrics.
func (p *process) metrics() (map[string]float64, error) {
	req, err := http.NewRequest(http.MethodGet, p.url+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+p.key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	all := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			if f, err := strconv.ParseFloat(value, 64); err == nil {
				all[name] = f
			}
		}
	}
	return all, nil
}
