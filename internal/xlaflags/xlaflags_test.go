package xlaflags_test

import (
	"os"
	"testing"

	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/xlaflags"
)

func TestMain(m *testing.M) {
	backends.AnswerTrial()
	os.Exit(m.Run())
}

func TestClash(t *testing.T) {
	flags := []string{"--xla_dir=/d", "--xla_parallel=true"}
	for user, want := range map[string]string{
		"":                         "",
		"  --xla_other=1":          "",
		"--xla_dir_two=1":          "",
		"--xla_a=1 --xla_dir=/own": "XLA_FLAGS has --xla_dir",
		"-xla_parallel=false":      "XLA_FLAGS has --xla_parallel",
		"flags.txt":                "XLA_FLAGS names a file",
	} {
		if got := xlaflags.Clash(user, flags); got != want {
			t.Errorf("with XLA_FLAGS %q: %q, want %q", user, got, want)
		}
	}
}

// Set is called again for each plugin that a process opens. Its programs get the user's flags.
func TestSetKeepsTheUsersFlags(t *testing.T) {
	before := xlaflags.User()
	defer func() {
		if err := xlaflags.Set(nil); err != nil || os.Getenv(xlaflags.Variable) != before {
			t.Errorf("Set(nil) left %q, want %q: %v", os.Getenv(xlaflags.Variable), before, err)
		}
	}()
	for _, flags := range [][]string{{"--xla_a=1", "--xla_b=2"}, {"--xla_c=3"}} {
		if err := xlaflags.Set(flags); err != nil {
			t.Fatal(err)
		}
		if err := os.Setenv(xlaflags.Variable, os.Getenv(xlaflags.Variable)+" --xla_gpu_cuda_data_dir=/x"); err != nil { // as go-xla does
			t.Fatal(err)
		}
	}
	if got := xlaflags.User(); got != before {
		t.Errorf("the user's flags are %q, want %q", got, before)
	}
	if got := os.Getenv(xlaflags.Variable); got != before+"--xla_c=3 --xla_gpu_cuda_data_dir=/x" {
		t.Errorf("XLA_FLAGS is %q", got)
	}
}
