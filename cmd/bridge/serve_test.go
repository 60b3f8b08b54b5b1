//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/internal/procfs"
)

// serveProcess is a process of bridge that serves the kit's bridge.
type serveProcess struct {
	*exec.Cmd
	url string
	log *bytes.Buffer
}

func startServe(t *testing.T) *serveProcess {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &serveProcess{Cmd: exec.Command(self, "serve", "kit:stage2", "--backend", "go", "--addr", "127.0.0.1:0"), log: &bytes.Buffer{}}
	s.Env = append(os.Environ(), commandVariable+"=1")
	s.Stderr = s.log
	out, err := s.StdoutPipe()
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = s.Wait()
		t.Fatalf("no URL: %v\n%s", err, s.log)
	}
	s.url = strings.TrimSpace(line)
	return s
}

// plugins returns the processes of the frozen models.
func (s *serveProcess) plugins() (pids []int) {
	for p := range procfs.All() {
		if p.Parent == s.Process.Pid && !p.Ended() {
			pids = append(pids, p.PID)
		}
	}
	return pids
}

// question is the body of a request for an answer of 60 tokens, streamed or not.
func question(stream bool) string {
	return fmt.Sprintf(`{"model":"kit:stage2","min_tokens":60,"max_tokens":60,"stream":%v,"messages":[{"role":"user","content":[
		{"type":"image_url","image_url":{"url":"kit:held-out/17"}}]}]}`, stream)
}

// ask sends a request and calls began, if not nil, once the answer begins.
func (s *serveProcess) ask(t *testing.T, stream bool, began func()) (status int, body string) {
	t.Helper()
	resp, err := http.Post(s.url+"/v1/chat/completions", "application/json", strings.NewReader(question(stream)))
	if err != nil {
		t.Errorf("%v\n%s", err, s.log)
		return 0, ""
	}
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	if began != nil {
		if _, err := in.Peek(1); err != nil {
			t.Error(err)
		}
		began()
	}
	all, err := io.ReadAll(in)
	if err != nil {
		t.Errorf("the answer is cut off: %v\n%s", err, s.log)
	}
	return resp.StatusCode, string(all)
}

// streamed returns the text of a streamed answer.
func streamed(t *testing.T, body string) string {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(body) {
		var c struct {
			Choices []struct{ Delta struct{ Content string } }
		}
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "data: {"); ok {
			if err := json.Unmarshal([]byte("{"+text), &c); err != nil {
				t.Error(err)
			}
			for _, choice := range c.Choices {
				b.WriteString(choice.Delta.Content)
			}
		}
	}
	if !strings.HasSuffix(body, "data: [DONE]\n\n") {
		t.Errorf("the stream does not end: %s", body)
	}
	return b.String()
}

// A process that dies must cost no answer, a model that keeps dying no more than its own requests,
// and the end of the server no request that it has taken.
func TestServeSurvivesItsProcesses(t *testing.T) {
	s := startServe(t)
	status, undisturbed := s.ask(t, true, nil)
	want := streamed(t, undisturbed)
	if status != http.StatusOK || want == "" {
		t.Fatalf("status %d: %s", status, undisturbed)
	}
	killAll := func() {
		for _, pid := range s.plugins() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	if len(s.plugins()) != 2 {
		t.Fatalf("%d processes serve the frozen models, want 2", len(s.plugins()))
	}
	if status, body := s.ask(t, true, killAll); status != http.StatusOK || streamed(t, body) != want {
		t.Errorf("with a death in the middle: status %d, %q, want %q", status, body, want)
	}

	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if status, body := s.ask(t, false, nil); status != http.StatusServiceUnavailable || !strings.Contains(body, `"kind":"unavailable"`) || !strings.Contains(body, "signal: killed") {
			t.Errorf("with a process that keeps dying: status %d: %s", status, body)
		}
	}()
	for over := false; !over; {
		select {
		case <-ended:
			over = true
		case <-time.After(5 * time.Millisecond):
			killAll()
		}
	}
	if status, body := s.ask(t, true, nil); status != http.StatusOK || streamed(t, body) != want {
		t.Errorf("afterwards: status %d: %s", status, body)
	}

	terminate := func() { _ = s.Process.Signal(syscall.SIGTERM) }
	if status, body := s.ask(t, true, terminate); status != http.StatusOK || streamed(t, body) != want {
		t.Errorf("a request that the server had at SIGTERM: status %d: %s", status, body)
	}
	if err := s.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, s.log)
	}
	for p := range procfs.All() {
		if p.Parent == s.Process.Pid {
			t.Errorf("process %d is left", p.PID)
		}
	}
}

func TestServeChecksItsConfiguration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "serve.toml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("[models.mine]\nmodel = \"kit:stage2\"\nbackend = \"go\"\nisolation = \"none\"\n")
	stdout, _ := mustExit(t, exitDone, "serve", "--check", "--config", file)
	if !strings.Contains(stdout, "mine") || !strings.Contains(stdout, "tiny-opt") {
		t.Errorf("--check prints %q", stdout)
	}
	write("[models.mine]\nmodle = \"kit:stage2\"\n")
	if _, stderr := mustExit(t, exitFailed, "serve", "--check", "--config", file); !strings.Contains(stderr, "serve.toml:2: models.mine.modle: unknown key; did you mean models.mine.model?") {
		t.Errorf("a mistake in the file: %s", stderr)
	}
	for want, args := range map[string][]string{
		"no model to serve": {"serve"}, "two models have the name": {"serve", "kit:stage2", "kit:stage2"}, "has no API keys": {"serve", "kit:stage2", "--addr", "0.0.0.0:0"},
		"no such folder": {"serve", "no/such/run", "--check"}, "stage-1 bridge": {"serve", "kit:stage1", "--check"},
	} {
		status, _, stderr := runCommand(t, args...)
		if status == exitDone || !strings.Contains(stderr, want) {
			t.Errorf("%v: status %d: %s", args, status, stderr)
		}
	}
}
