//go:build unix

package featurecache_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/modular-bridging/bridge/data/featurecache"
	"github.com/modular-bridging/bridge/internal/testenv"
	"golang.org/x/sys/unix"
)

// The tests run this binary again as another process that uses the cache.
const (
	roleVariable = "BRIDGE_CACHE_TEST_ROLE"
	dirVariable  = "BRIDGE_CACHE_TEST_DIR"
)

// shared is the data set that the processes have in common.
var shared = pictures{400, "shared"}

func TestMain(m *testing.M) {
	dir := os.Getenv(dirVariable)
	switch os.Getenv(roleVariable) {
	case "fill":
		os.Exit(fill(dir, nil))
	case "hang":
		os.Exit(fill(dir, hangAt(101)))
	case "limited":
		os.Exit(limited(dir))
	}
	os.Exit(m.Run())
}

func fill(dir string, before func([]int)) int {
	c, err := featurecache.Open(dir, &encoder{digest: "e", before: before}, shared, featurecache.Options{Batch: 10})
	if err == nil {
		err = c.Prefetch(context.Background(), upTo(shared.n))
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// hangAt stops when a picture is encoded, and says so.
func hangAt(picture int) func([]int) {
	return func(batch []int) {
		for _, i := range batch {
			if i == picture {
				fmt.Println("hanging")
				_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed
			}
		}
	}
}

// limited uses a cache whose file may not grow beyond some rows.
func limited(dir string) int {
	signal.Ignore(syscall.SIGXFSZ)
	limit := uint64(featurecache.Bytes((&encoder{}).Spec(), shared.n, 0)) / 2
	if os.Getenv("BRIDGE_CACHE_TEST_NO_HEAD") != "" {
		limit = 100
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
		fmt.Println("no limit:", err)
		return 1
	}
	log, text := logged()
	e := &encoder{digest: "e"}
	c, err := featurecache.Open(dir, e, shared, featurecache.Options{Batch: 10, Log: log})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for range 2 {
		for row := range shared.n {
			got, err := c.Features(context.Background(), []int{row})
			if err != nil {
				fmt.Println(err)
				return 1
			}
			values, err := got.ToFloat32()
			if err != nil || fmt.Sprint(values) != fmt.Sprint(rowOf(row)) {
				fmt.Println("row", row, "is", values, err)
				return 1
			}
		}
	}
	fmt.Println("encoded", e.pictures.Load(), "warnings", strings.Count(text.String(), "level=WARN"), text)
	return 0
}

func again(t *testing.T, role, dir string, env ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(append(os.Environ(), roleVariable+"="+role, dirVariable+"="+dir), env...)
	return cmd
}

func TestTwoProcessesFillOneFile(t *testing.T) {
	dir := t.TempDir()
	a, b := again(t, "fill", dir), again(t, "fill", dir)
	for _, cmd := range []*exec.Cmd{a, b} {
		cmd.Stdout = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	for _, cmd := range []*exec.Cmd{a, b} {
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	e := &encoder{digest: "e"}
	mustServe(t, open(t, dir, e, shared, featurecache.Options{}), all(shared.n)...)
	e.mustEncode(t, 0)
}

func TestKilledWhileFilling(t *testing.T) {
	dir := t.TempDir()
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
	if err != nil || line != "hanging\n" {
		t.Fatalf("the other process said %q: %v", line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the other process was not killed")
	}
	e := &encoder{digest: "e"}
	mustServe(t, open(t, dir, e, shared, featurecache.Options{}), all(shared.n)...)
	e.mustEncode(t, int64(shared.n-100)) // ten batches of ten were stored
}

// A cache in a folder that is read-only, or below a file, serves all rows, and says once which
// variable moves it.
func TestAFolderThatCannotBeWrittenServesWithoutAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, folder := range map[string]func() string{
		"below a file": func() string { return file },
		"read-only":    func() string { return testenv.ReadOnly(t) },
	} {
		t.Run(name, func(t *testing.T) {
			log, text := logged()
			e := &encoder{digest: "e"}
			p := pictures{digest: "p", n: 8}
			c := open(t, filepath.Join(folder(), "features"), e, p, featurecache.Options{Log: log})
			if err := c.Prefetch(t.Context(), all(p.n)); err != nil {
				t.Error(err)
			}
			e.mustEncode(t, 0) // rows that cannot be kept are not computed in advance
			mustServe(t, c, all(p.n)...)
			e.mustEncode(t, int64(p.n))
			if strings.Count(text.String(), "level=WARN") != 1 || strings.Count(text.String(), "set BRIDGE_CACHE to a folder that you can write to") != 1 {
				t.Errorf("got the log\n%s, want one warning with the variable", text)
			}
		})
	}
}

func TestFullDiskServesWithoutTheMissingRows(t *testing.T) {
	for name, c := range map[string]struct {
		env  string
		want string
	}{
		"rows": {"", "warnings 1"},
		"head": {"BRIDGE_CACHE_TEST_NO_HEAD=1", "encoded 800 warnings 1"},
	} {
		out, err := again(t, "limited", t.TempDir(), c.env).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
		if !strings.Contains(string(out), c.want) || !strings.Contains(string(out), "free disk space") {
			t.Errorf("%s: got %q, want %q and advice", name, out, c.want)
		}
		var encoded int
		if _, err := fmt.Sscanf(string(out), "encoded %d", &encoded); err != nil || encoded < 401 || encoded > 800 {
			t.Errorf("%s: %d pictures were encoded in two rounds of 400 (%v)", name, encoded, err)
		}
	}
}
