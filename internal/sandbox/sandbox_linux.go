//go:build linux && (amd64 || arm64)

package sandbox

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"unsafe"

	"github.com/landlock-lsm/go-landlock/landlock"
	kernel "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"

	"github.com/modular-bridging/bridge/adapters"
)

// leastLandlock is the first version of Landlock that covers truncating files (Linux 6.2).
// Without it, a confined process could empty files that it may not write.
const leastLandlock = 3

// Supported returns nil if this kernel can confine a process. Otherwise the error names what the
// kernel lacks.
func Supported() error {
	remedy := `set sandbox = "none" if you trust the plugin, or use Linux 6.2 or newer with Landlock enabled (see /sys/kernel/security/lsm)`
	version, err := kernel.LandlockGetABIVersion()
	if err != nil {
		return adapters.Errorf(adapters.Unsupported, "the sandbox needs Landlock, which this kernel does not have: %w", err).WithRemedy("%s", remedy)
	}
	if version < leastLandlock {
		return adapters.Errorf(adapters.Unsupported, "the sandbox needs Landlock %d, this kernel has %d", leastLandlock, version).WithRemedy("%s", remedy)
	}
	action := uint32(unix.SECCOMP_RET_ERRNO)
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&action))); errno != 0 {
		return adapters.Errorf(adapters.Unsupported, "the sandbox needs seccomp filters, which this kernel does not have: %w", errno).
			WithRemedy("%s", remedy)
	}
	return nil
}

// Devices returns the devices that a model may compute on, and harmless devices such as
// /dev/null.
func Devices() []string {
	devices := []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}
	for _, pattern := range []string{"/dev/nvidia*", "/dev/nvidia-caps/*", "/dev/dri/*", "/dev/kfd", "/dev/accel*"} {
		found, err := filepath.Glob(pattern)
		if err == nil {
			devices = append(devices, found...)
		}
	}
	return devices
}

// confineAndExec confines this process and executes a program in it. It returns only on an error.
func (p Policy) confineAndExec(program string, args []string) error {
	runtime.LockOSThread() // the restrictions apply to the thread that executes the program
	if err := dropCapabilities(); err != nil {
		return err
	}
	if err := p.restrictFiles(); err != nil {
		return err
	}
	if err := restrictSockets(); err != nil {
		return err
	}
	return &os.PathError{Op: "exec", Path: args[0], Err: syscall.Exec(program, args, os.Environ())}
}

// dropCapabilities drops the capabilities of root.
func dropCapabilities() error {
	for c := uintptr(0); ; c++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err == unix.EINVAL {
			break // all are dropped
		} else if err == unix.EPERM {
			break // this process has no capabilities to drop
		} else if err != nil {
			return os.NewSyscallError("prctl(PR_CAPBSET_DROP)", err)
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return os.NewSyscallError("capset", unix.Capset(&header, &none[0]))
}

// configs returns the restrictions of each version of Landlock, from leastLandlock on.
func configs() []landlock.Config {
	return []landlock.Config{landlock.V3, landlock.V4, landlock.V5, landlock.V6, landlock.V7, landlock.V8}
}

// restrictFiles restricts the process to the policy's files. It also applies the other
// restrictions of the kernel's Landlock version: TCP from version 4, device ioctls from
// version 5, signals and abstract sockets from version 6.
func (p Policy) restrictFiles() error {
	version, err := kernel.LandlockGetABIVersion()
	if err != nil {
		return os.NewSyscallError("landlock_create_ruleset", err)
	}
	config := configs()[min(version-leastLandlock, len(configs())-1)]
	var rules []landlock.Rule
	for _, path := range p.Read {
		rules = append(rules, rule(path, landlock.RODirs, landlock.ROFiles))
	}
	for _, path := range p.Write {
		r := rule(path, landlock.RWDirs, landlock.RWFiles)
		if version >= 5 {
			r = r.WithIoctlDev()
		}
		rules = append(rules, r)
	}
	return config.Restrict(rules...)
}

// rule returns the rule for a folder or for a file.
func rule(path string, folder, file func(...string) landlock.FSRule) landlock.FSRule {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		folder = file
	}
	return folder(path).IgnoreIfMissing()
}
