// Package sandbox confines a process to some files and to no network. It uses mechanisms that
// Linux gives every user: Landlock for files, signals and other processes' abstract sockets, and
// a seccomp filter for sockets.
//
// A process can only confine itself. Therefore [Policy.Confine] changes a command so that it
// starts this program again. The program's main function first calls [Enter], which confines the
// process and then executes the original program.
//
// The package never confines a process partly: if the kernel lacks a mechanism, [Supported]
// returns an error, and nothing is started.
package sandbox

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
)

// Policy lists the files that a confined process may use, in addition to its open files. Paths
// that do not exist are ignored.
type Policy struct {
	Read  []string `json:"read"`  // files and folders that it may read and execute
	Write []string `json:"write"` // files and folders that it may also change
}

// marker is the first argument of this program when it is started to confine itself.
const marker = "bridge-sandbox"

// Confine changes a command, which must not be started yet, to start confined. The command's
// path may be a path in /proc/self/fd that refers to one of cmd.ExtraFiles.
func (p Policy) Confine(cmd *exec.Cmd) error {
	if err := Supported(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the path of this program, to start the sandbox: %w", err)
	}
	policy, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("start the sandbox: %w", err)
	}
	cmd.Args = append([]string{marker, string(policy), cmd.Path}, cmd.Args...)
	cmd.Path = self
	return nil
}

// Enter must be called at the beginning of main. It returns at once, unless the process was
// started by a command that [Policy.Confine] changed. In that process it does not return.
func Enter() {
	if len(os.Args) < 4 || os.Args[0] != marker {
		return
	}
	err := enter(os.Args[1], os.Args[2], os.Args[3:])
	fmt.Fprintf(os.Stderr, "cannot enter the sandbox: %v\n", err)
	os.Exit(126)
}

func enter(text, program string, args []string) error {
	var policy Policy
	if err := json.Unmarshal([]byte(text), &policy); err != nil {
		return err
	}
	return policy.confineAndExec(program, args)
}

// System returns the files of the system that programs need: programs and libraries, and files
// that describe the machine and the time. It includes no files of users, and from /etc only the
// files that the C library reads.
func System() []string {
	return []string{
		"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/usr", "/opt", "/nix/store", "/proc", "/sys",
		"/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/ld.so.preload", "/etc/localtime", "/etc/timezone",
		"/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/locale.alias", "/etc/os-release", "/etc/alternatives", "/etc/OpenCL",
	}
}
