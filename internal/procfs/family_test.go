package procfs

import (
	"os"
	"os/exec"
	"slices"
	"testing"
)

func TestFamilyIsAProcessAndItsChildren(t *testing.T) {
	if err := Available(); err != nil {
		t.Skip(err)
	}
	child := exec.Command("sleep", "1000")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer child.Process.Kill()
	var family []int
	for _, p := range Family(os.Getpid()) {
		family = append(family, p.PID)
	}
	if len(family) < 2 || family[0] != os.Getpid() || !slices.Contains(family, child.Process.Pid) {
		t.Errorf("the family of %d with the child %d is %v", os.Getpid(), child.Process.Pid, family)
	}
	if got := Family(child.Process.Pid); len(got) != 1 || got[0].PID != child.Process.Pid {
		t.Errorf("the family of the child is %+v", got)
	}
	if got := Family(1 << 30); got != nil {
		t.Errorf("a process that does not run has the family %+v", got)
	}
}

func TestArguments(t *testing.T) {
	if err := Available(); err != nil {
		t.Skip(err)
	}
	if got := Arguments(os.Getpid()); !slices.Equal(got, os.Args) {
		t.Errorf("%q, want %q", got, os.Args)
	}
	if got := Arguments(1 << 30); got != nil {
		t.Errorf("a process that does not run has the arguments %q", got)
	}
}
