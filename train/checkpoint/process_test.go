//go:build unix

package checkpoint_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/atomicfile"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/train/checkpoint"
)

// The tests run this binary again as the process that is killed or that may
// write no more; these variables say as what, and where.
const (
	roleVariable = "BRIDGE_CHECKPOINT_TEST_ROLE"
	dirVariable  = "BRIDGE_CHECKPOINT_TEST_DIR"
)

func TestMain(m *testing.M) {
	dir := os.Getenv(dirVariable)
	switch os.Getenv(roleVariable) {
	case "hang":
		hang(dir)
	case "limited":
		limited(dir)
	default:
		os.Exit(m.Run())
	}
}

// hang stops in the middle of a write and says so.
func hang(dir string) {
	_, err := checkpoint.Write(dir, 2, 1, func(tmp string) error {
		if err := os.WriteFile(filepath.Join(tmp, "weights"), []byte("half"), 0o644); err != nil {
			return err
		}
		fmt.Println("writing")
		_, err := io.Copy(io.Discard, os.Stdin) // until it is killed
		return err
	})
	fmt.Println("not killed:", err)
	os.Exit(1)
}

// limited writes a checkpoint that is larger than it may be.
func limited(dir string) {
	signal.Ignore(syscall.SIGXFSZ)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 4096, Max: 4096}); err != nil {
		fmt.Println("no limit:", err)
		os.Exit(2)
	}
	_, err := checkpoint.Write(dir, 2, 1, func(tmp string) error {
		return os.WriteFile(filepath.Join(tmp, "weights"), make([]byte, 1<<20), 0o644)
	})
	fmt.Println(adapters.KindOf(err), err)
	os.Exit(0)
}

func again(t *testing.T, role, dir string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVariable+"="+role, dirVariable+"="+dir)
	return cmd
}

func TestKilledWhileWriting(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir, 1, 1)
	cmd := again(t, "hang", dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || line != "writing\n" {
		t.Fatalf("the writer said %q: %v", line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the writer was not killed")
	}
	if got := names(t, dir); len(got) != 2 {
		t.Fatalf("the folder holds %v, want the leftover beside step-000001", got)
	}
	mustBeLatest(t, dir, 1)

	mustWrite(t, dir, 2, 1) // sweeps
	if got, want := names(t, dir), []string{"step-000002"}; !reflect.DeepEqual(got, want) {
		t.Errorf("the folder holds %v, want %v", got, want)
	}
	mustBeLatest(t, dir, 2)
}

func TestFileSizeLimit(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir, 1, 1)
	out, err := again(t, "limited", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	mustSayFull(t, string(out))
	mustBeLatest(t, dir, 1)
}

func TestFullDisk(t *testing.T) {
	dir := testenv.SmallDisk(t)
	mustWrite(t, dir, 1, 1)
	_, err := checkpoint.Write(dir, 2, 1, func(tmp string) error {
		return os.WriteFile(filepath.Join(tmp, "weights"), make([]byte, 1<<20), 0o644)
	})
	mustSayFull(t, fmt.Sprint(adapters.KindOf(err), " ", err))
	mustBeLatest(t, dir, 1)
	_, err = checkpoint.Write(dir, 2, 1, func(tmp string) error { // as a bridge is saved
		return fmt.Errorf("save bridge: %w", atomicfile.WriteBytes(filepath.Join(tmp, "weights"), make([]byte, 1<<20)))
	})
	mustSayFull(t, fmt.Sprint(adapters.KindOf(err), " ", err))
	mustWrite(t, dir, 3, 1) // the failed one left no mess that fills the disk
	mustBeLatest(t, dir, 3)
}

func mustSayFull(t *testing.T, text string) {
	t.Helper()
	for _, want := range []string{"exhausted", "checkpoint not written", "free disk space"} {
		if !strings.Contains(text, want) {
			t.Errorf("got %q, want it to say %q", text, want)
		}
	}
	if n := strings.Count(text, "free disk space"); n != 1 {
		t.Errorf("got %q with %d remedies, want 1", text, n)
	}
}
