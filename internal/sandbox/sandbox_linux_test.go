//go:build linux && (amd64 || arm64)

package sandbox

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	kernel "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"github.com/modular-bridging/bridge/internal/testenv"
	"golang.org/x/sys/unix"
)

// attempt is the variable that makes this binary the program in the sandbox. Its value is the
// operation to try.
const attempt = "BRIDGE_TEST_ATTEMPT"

func TestMain(m *testing.M) {
	Enter()
	if operation := os.Getenv(attempt); operation != "" {
		if err := try(strings.Split(operation, " ")); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("done")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// try performs an operation that a sandbox may forbid.
func try(what []string) error {
	switch what[0] {
	case "read":
		_, err := os.ReadFile(what[1])
		return err
	case "list":
		_, err := os.ReadDir(what[1])
		return err
	case "write":
		return os.WriteFile(what[1], []byte("x"), 0o600)
	case "truncate":
		return os.Truncate(what[1], 0)
	case "remove":
		return os.Remove(what[1])
	case "exec":
		return exec.Command(what[1]).Run()
	case "child":
		return exec.Command("/bin/sh", "-c", "cat "+what[1]).Run()
	case "inherited":
		_, err := io.ReadAll(os.NewFile(3, "inherited"))
		return err
	case "listen":
		l, err := net.Listen("unix", what[1])
		if err == nil {
			err = l.Close()
		}
		return err
	case "kill":
		pid, _ := strconv.Atoi(what[1])
		return syscall.Kill(pid, 0)
	case "environ":
		_, err := os.ReadFile("/proc/" + what[1] + "/environ")
		return err
	case "io_uring":
		if _, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, 0, 0); errno == unix.ENOSYS {
			return errno
		}
		return nil
	case "capability":
		return unix.Sethostname([]byte(what[1]))
	}
	return dial(what)
}

// dial creates a socket and connects it if a path is given.
func dial(what []string) error {
	kinds := map[string][3]int{
		"tcp": {unix.AF_INET, unix.SOCK_STREAM, 0}, "mptcp": {unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP},
		"udp": {unix.AF_INET, unix.SOCK_DGRAM | unix.SOCK_CLOEXEC, 0}, "tcp6": {unix.AF_INET6, unix.SOCK_STREAM, 0},
		"netlink": {unix.AF_NETLINK, unix.SOCK_RAW, 0}, "raw": {unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP},
		"unix": {unix.AF_UNIX, unix.SOCK_STREAM, 0}, "datagram": {unix.AF_UNIX, unix.SOCK_DGRAM | unix.SOCK_NONBLOCK, 0},
	}
	kind := kinds[what[0]]
	fd, err := unix.Socket(kind[0], kind[1], kind[2])
	if err != nil || len(what) == 1 {
		return err
	}
	return unix.Connect(fd, &unix.SockaddrUnix{Name: what[1]})
}

// run tries an operation in a new process, under a policy if p is not nil.
func run(t *testing.T, p *Policy, what string, files ...*os.File) (ok bool, output string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=none")
	cmd.Env = []string{attempt + "=" + what}
	cmd.ExtraFiles = files
	if p != nil {
		if err := p.Confine(cmd); err != nil {
			t.Fatal(err)
		}
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatalf("%s: %v\n%s", what, err, out)
	}
	return err == nil, string(out)
}

func supported(t *testing.T) {
	t.Helper()
	if err := Supported(); err != nil {
		testenv.Lacking(t, "a kernel with sandbox support", err)
	}
}

func TestAllowedAndForbiddenOperations(t *testing.T) {
	supported(t)
	dir := t.TempDir()
	for _, d := range []string{"read", "write", "other"} {
		if err := errors.Join(os.Mkdir(filepath.Join(dir, d), 0o755), os.WriteFile(filepath.Join(dir, d, "file"), []byte("#!/bin/sh\n"), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, "other", "file"), filepath.Join(dir, "read", "link")); err != nil {
		t.Fatal(err)
	}
	service, err := net.Listen("unix", filepath.Join(dir, "write", "service"))
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	policy := &Policy{Read: append(System(), self, filepath.Join(dir, "read"), "/not/there"), Write: append(Devices(), filepath.Join(dir, "write"))}
	at := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	for _, c := range []struct {
		what    string
		allowed bool
	}{
		{"read " + at("read/file"), true}, {"list " + at("read"), true}, {"exec " + at("read/file"), true}, {"child " + at("read/file"), true},
		{"write " + at("write/new"), true}, {"remove " + at("write/new"), true}, {"listen " + at("write/socket"), true},
		{"write /dev/null", true}, {"read /etc/passwd", true}, {"exec /bin/true", true}, {"unix", true},
		{"read " + at("other/file"), false}, {"list " + at("other"), false}, {"exec " + at("other/file"), false}, {"child " + at("other/file"), false},
		{"read " + at("read/link"), false}, {"write " + at("read/new"), false}, {"truncate " + at("read/file"), false}, {"remove " + at("read/file"), false},
		{"write " + at("other/new"), false}, {"truncate " + at("other/file"), false}, {"read /etc/hostname", false}, {"list /", false}, {"list /root", false},
		{"tcp", false}, {"tcp6", false}, {"mptcp", false}, {"udp", false}, {"netlink", false}, {"raw", false}, {"datagram", false},
		{"unix " + at("write/service"), false}, {"io_uring", false}, {"environ " + strconv.Itoa(os.Getpid()), false},
	} {
		if ok, out := run(t, policy, c.what); ok != c.allowed {
			t.Errorf("%s: allowed %v, want %v: %s", c.what, ok, c.allowed, out)
		}
	}
}

func TestOtherProcessesCannotBeSignalled(t *testing.T) {
	supported(t)
	if version, err := kernel.LandlockGetABIVersion(); err != nil || version < 6 {
		t.Skipf("Landlock %d, %v: signals are covered from version 6", version, err)
	}
	self, _ := os.Executable()
	me := strconv.Itoa(os.Getpid())
	if ok, _ := run(t, &Policy{Read: append(System(), self)}, "kill "+me); ok {
		t.Error("a confined process can signal a process outside")
	}
	if ok, out := run(t, nil, "kill "+me); !ok {
		t.Errorf("without a sandbox it cannot either: %s", out)
	}
}

// The operations that the tests above find forbidden work without a sandbox.
func TestWithoutASandbox(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"read " + file, "list /", "truncate " + file, "udp", "datagram", "netlink", "tcp", "environ " + strconv.Itoa(os.Getpid()), "remove " + file} {
		if ok, out := run(t, nil, what); !ok {
			t.Errorf("%s: %s", what, out)
		}
	}
}

func TestOpenFilesAreKept(t *testing.T) {
	supported(t)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	self, _ := os.Executable()
	policy := &Policy{Read: append(System(), self)}
	if ok, out := run(t, policy, "inherited", f); !ok {
		t.Errorf("reading an inherited file: %s", out)
	}
	if ok, _ := run(t, policy, "read "+path, f); ok {
		t.Error("the confined process could open the file again")
	}
}

func TestRootIsConfinedToo(t *testing.T) {
	supported(t)
	if os.Getuid() != 0 {
		t.Skip("not root")
	}
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	self, _ := os.Executable()
	if ok, out := run(t, &Policy{Read: append(System(), self)}, "capability "+name); ok {
		t.Errorf("root kept its capabilities: %s", out)
	}
}

// The system calls of a 32-bit program have other numbers. It must not be able to bypass the
// filter.
func TestSystemCallsOfOtherABIs(t *testing.T) {
	supported(t)
	if runtime.GOARCH != "amd64" {
		t.Skip("amd64 only")
	}
	path := filepath.Join(t.TempDir(), "i386")
	if err := os.WriteFile(path, program32(), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(path).CombinedOutput(); err != nil {
		t.Skipf("this kernel does not run 32-bit programs: %v %s", err, out)
	}
	cmd := exec.Command(path)
	if err := (Policy{Read: append(System(), filepath.Dir(path))}).Confine(cmd); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGSYS {
		t.Errorf("it ended with %v, want a bad system call", err)
	}
}

// program32 returns an ELF file for i386 that creates an AF_INET socket. It exits with status 0
// if it got the socket.
func program32() []byte {
	code := []byte{
		0xb8, 0x67, 0x01, 0, 0, // mov eax, 359 (socket)
		0xbb, 2, 0, 0, 0, // mov ebx, AF_INET
		0xb9, 1, 0, 0, 0, // mov ecx, SOCK_STREAM
		0x31, 0xd2, // xor edx, edx
		0xcd, 0x80, // int 0x80
		0xc1, 0xe8, 0x1f, // shr eax, 31
		0x89, 0xc3, // mov ebx, eax
		0xb8, 1, 0, 0, 0, // mov eax, 1 (exit)
		0xcd, 0x80,
	}
	const base, headers = 0x08048000, 52 + 32
	var b bytes.Buffer
	b.Write([]byte{0x7f, 'E', 'L', 'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	size := uint32(headers + len(code))
	for _, v := range []any{
		uint16(2), uint16(3), uint32(1), uint32(base + headers), uint32(52), uint32(0), uint32(0), uint16(52), uint16(32), uint16(1), uint16(0), uint16(0), uint16(0),
		uint32(1), uint32(0), uint32(base), uint32(base), size, size, uint32(5), uint32(0x1000),
	} {
		_ = binary.Write(&b, binary.LittleEndian, v) // writing to a buffer does not fail
	}
	b.Write(code)
	return b.Bytes()
}

func TestEnterPrintsItsError(t *testing.T) {
	supported(t)
	self, _ := os.Executable()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{marker, "{", "/bin/true", "true"}, "unexpected end"},
		{[]string{marker, "{}", "/not/there", "there"}, "cannot enter the sandbox: exec there: no such file"},
	} {
		cmd := &exec.Cmd{Path: self, Args: c.args}
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 126 || !strings.Contains(string(out), c.want) {
			t.Errorf("%v: %v, %s", c.args, err, out)
		}
	}
}
