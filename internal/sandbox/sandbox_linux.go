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

// leastLandlock is the first version of Landlock that covers truncating files, of
// Linux 6.2: without that, files elsewhere could be emptied.
const leastLandlock = 3

// Supported returns nil if this kernel can confine a process, else what it lacks.
func Supported() error {
	remedy := `set sandbox = "none" if you trust the plugin, or use Linux 6.2 or newer with Landlock started (in /sys/kernel/security/lsm)`
	version, err := kernel.LandlockGetABIVersion()
	if err != nil {
		return adapters.Errorf(adapters.Unsupported, "this kernel has no Landlock, which the sandbox needs: %w", err).WithRemedy("%s", remedy)
	}
	if version < leastLandlock {
		return adapters.Errorf(adapters.Unsupported, "this kernel has Landlock %d, the sandbox needs %d", version, leastLandlock).WithRemedy("%s", remedy)
	}
	action := uint32(unix.SECCOMP_RET_ERRNO)
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&action))); errno != 0 {
		return adapters.Errorf(adapters.Unsupported, "this kernel has no seccomp filters, which the sandbox needs: %w", errno).WithRemedy("%s", remedy)
	}
	return nil
}

// Devices returns those that a model may compute with, and the harmless ones.
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

// become confines this process and executes a program in its place.
func (p Policy) become(program string, args []string) error {
	runtime.LockOSThread() // what follows holds for the thread that executes
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

// dropCapabilities gives up what root could do beside opening files.
func dropCapabilities() error {
	for c := uintptr(0); ; c++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err == unix.EINVAL {
			break // there are no more
		} else if err == unix.EPERM {
			break // this process has none to give up
		} else if err != nil {
			return os.NewSyscallError("prctl(PR_CAPBSET_DROP)", err)
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return os.NewSyscallError("capset", unix.Capset(&header, &none[0]))
}

// configs are what the versions of Landlock can do, from the least on.
func configs() []landlock.Config {
	return []landlock.Config{landlock.V3, landlock.V4, landlock.V5, landlock.V6, landlock.V7, landlock.V8}
}

// restrictFiles leaves the process the policy's files. It uses all that the kernel
// can restrict: from Landlock 4 on TCP, from 5 on the controls of devices, from 6
// on signals and abstract sockets.
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

func rule(path string, folder, file func(...string) landlock.FSRule) landlock.FSRule {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		folder = file
	}
	return folder(path).IgnoreIfMissing()
}
