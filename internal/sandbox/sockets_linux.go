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

// Where struct seccomp_data has what the filter reads: of an argument, which has
// 8 bytes, the lower half (little-endian) is all that the kernel takes for an int.
const (
	callNumber   = 0
	architecture = 4
	argument0    = 16
	argument1    = 24
)

// x32 begins the numbers of amd64's other calling convention.
const x32 = 0x40000000

// datagram is the bit of a socket's type that SOCK_DGRAM and SOCK_RAW have and
// SOCK_STREAM and SOCK_SEQPACKET have not.
const datagram = 2

// socketFilter is the program that the kernel runs for each system call. It leaves
// sockets that are connections within the machine, for the host to connect to, and
// nothing to connect to others with:
//
//   - no socket of another family than AF_UNIX: Landlock covers TCP alone, and not
//     that over MPTCP;
//   - no connect, and no socket that sends without: Landlock does not cover
//     sockets that have a path, as Docker's;
//   - no io_uring, which makes and connects sockets without system calls;
//   - no system calls of another architecture's convention, whose numbers differ.
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
		return nil, fmt.Errorf("the filter of system calls: %w", err)
	}
	return raw, nil
}

// restrictSockets puts the filter on this thread.
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
