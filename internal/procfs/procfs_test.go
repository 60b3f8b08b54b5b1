package procfs

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/internal/testenv"
	"golang.org/x/sys/unix"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Process{
		"7 (sh) S 1 7 7 0 -1": {PID: 7, Parent: 1, Group: 7, State: "S"},
		"9 (py) R 1 9 9 0 -1 4194304 100 0 3 0 250 50 0 0 20": {PID: 9, Parent: 1, Group: 9, State: "R", CPU: 3 * time.Second},
		"12 (a) b) Z 3 (x) R 2 4 0":                           {PID: 12, Parent: 2, Group: 4, State: "R"}, // the name is "a) b) Z 3 (x"
	} {
		if got, err := parse(text); err != nil || got != want {
			t.Errorf("%q is %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "7 (sh", "7 (sh) S 1", "x (sh) S 1 7 7", "7 (sh) S y 7 7"} {
		if got, err := parse(text); err == nil {
			t.Errorf("%q is %+v, want an error", text, got)
		}
	}
}

func TestProcesses(t *testing.T) {
	if err := Available(); err != nil {
		testenv.Lacking(t, "a /proc to find processes in", err)
	}
	want := Process{PID: os.Getpid(), Parent: os.Getppid(), Group: unix.Getpgrp()}
	found := false
	for p := range All() {
		found = found || p.PID == want.PID && p.Parent == want.Parent && p.Group == want.Group && !p.Ended()
	}
	if !found {
		t.Errorf("this process, %+v, is not among all", want)
	}
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	same, err := Of(os.Getpid())
	if err != nil || same.Began == 0 || !same.Runs() {
		t.Errorf("this process is %+v, %v, and runs %v", same, err, same.Runs())
	}
	if same.Began++; same.Runs() {
		t.Error("an earlier process with this number runs")
	}
	for { // nobody reaps it yet
		p, err := Of(cmd.Process.Pid)
		if err != nil || p.Parent != want.PID {
			t.Fatalf("the child is %+v, %v", p, err)
		}
		if p.Ended() {
			break
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if p, err := Of(cmd.Process.Pid); !os.IsNotExist(err) {
		t.Errorf("the reaped child is %+v, %v", p, err)
	}
}

func TestActivity(t *testing.T) {
	if err := Available(); err != nil {
		testenv.Lacking(t, "a /proc to find processes in", err)
	}
	for script, want := range map[string]bool{"exec sleep 60": false, "while :; do :; done": true} {
		cmd := exec.Command("sh", "-c", script)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		a := Watch(cmd.Process.Pid)
		for a.Busy() != want { // the first starts by and by
			time.Sleep(10 * time.Millisecond)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}
