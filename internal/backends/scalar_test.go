package backends

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// relaunched says that this process is the program of TestRelaunch.
const relaunched = "BRIDGE_TEST_RELAUNCH"

// TestRelaunchedProgram is the program that TestRelaunch starts.
func TestRelaunchedProgram(t *testing.T) {
	if os.Getenv(relaunched) == "" {
		return
	}
	needed := slowScalars || os.Getenv(relaunched) == "needed"
	if slowScalars {
		os.Setenv(relaunched, "needed")
	}
	Relaunch()
	fmt.Println("got:", needed, FastScalars(), os.Getenv(debugVariable), len(os.Args))
}

func TestRelaunch(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]string{
		"":             "true true cpu.fma=off 2",
		"gctrace=0":    "true true gctrace=0,cpu.fma=off 2",
		"cpu.fma=on":   "true false cpu.fma=on 2",
		"cpu.fma=off,": "false true cpu.fma=off, 2",
	} {
		cmd := exec.Command(program, "-test.run=^TestRelaunchedProgram$")
		cmd.Env = append(os.Environ(), relaunched+"=1", debugVariable+"="+given)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatal(err, string(out))
		}
		_, got, _ := strings.Cut(string(out), "got: ")
		got, _, _ = strings.Cut(got, "\n")
		if strings.HasPrefix(got, "false") { // nothing is slow here, so nothing is started again
			want = fmt.Sprintf("false true %s 2", given)
		}
		if got != want {
			t.Errorf("GODEBUG=%s: got %q, want %q", given, got, want)
		}
	}
}
