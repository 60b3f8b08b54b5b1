//go:build linux && (amd64 || arm64)

package sandbox

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data that the filter reads. An argument has 8 bytes. For an int, the
// kernel uses only the lower half (little-endian), so the filter reads only that.
const (
	callNumber   = 0
	architecture = 4
	argument0    = 16
	argument1    = 24
)

// x32 is the first system call number of amd64's x32 ABI.
const x32 = 0x40000000

// datagram is the bit of a socket's type that is set in SOCK_DGRAM and SOCK_RAW, and not in
// SOCK_STREAM and SOCK_SEQPACKET.
const datagram = 2

// socketFilter returns the program that the kernel runs for each system call. It allows Unix
// sockets, to which the host can connect, and forbids every way to connect to others:
//
//   - sockets of families other than AF_UNIX, because Landlock covers only TCP, and not TCP
//     over MPTCP;
//   - connect, and sockets that send without connect, because Landlock does not cover sockets
//     with a path, such as Docker's;
//   - io_uring, which creates and connects sockets without system calls;
//   - system calls of another ABI, because their numbers differ.
func socketFilter() ([]bpf.RawInstruction, error) {
	native := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	const kill, allow = unix.SECCOMP_RET_KILL_PROCESS, unix.SECCOMP_RET_ALLOW
	refuse := func(errno unix.Errno) uint32 { return unix.SECCOMP_RET_ERRNO | uint32(errno) }
	program := []bpf.Instruction{
		bpf.LoadAbsolute{Off: architecture, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: native, SkipTrue: 1},
		bpf.RetConstant{Val: kill},
		bpf.LoadAbsolute{Off: callNumber, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: x32, SkipTrue: 1},
		bpf.RetConstant{Val: kill},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.SYS_CONNECT, SkipTrue: 1},
		bpf.RetConstant{Val: refuse(unix.EACCES)},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.SYS_IO_URING_SETUP, SkipTrue: 1},
		bpf.RetConstant{Val: refuse(unix.ENOSYS)},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.SYS_SOCKET, SkipTrue: 1},
		bpf.RetConstant{Val: allow},
		bpf.LoadAbsolute{Off: argument0, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.AF_UNIX, SkipTrue: 1},
		bpf.RetConstant{Val: refuse(unix.EACCES)},
		bpf.LoadAbsolute{Off: argument1, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: datagram, SkipTrue: 1},
		bpf.RetConstant{Val: refuse(unix.EACCES)},
		bpf.RetConstant{Val: allow},
	}
	raw, err := bpf.Assemble(program)
	if err != nil {
		return nil, fmt.Errorf("assemble the seccomp filter: %w", err)
	}
	return raw, nil
}

// restrictSockets installs the filter on this thread.
func restrictSockets() error {
	raw, err := socketFilter()
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl(PR_SET_NO_NEW_PRIVS)", err)
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(filter)
	if errno != 0 {
		return os.NewSyscallError("seccomp", errno)
	}
	return nil
}
