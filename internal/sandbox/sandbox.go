// Package sandbox confines a process to some files and to no network, with what
// Linux gives every user: Landlock for files, signals and the abstract sockets of
// others, a seccomp filter for sockets.
//
// A process can only confine itself. So the process that is started is this
// program again: [Policy.Confine] changes a command so, and the program's main
// function calls [Enter] first of all, which confines the process and becomes the
// program that was meant.
//
// There is no halfway: where the kernel cannot do all of it, [Supported] says so,
// and nothing is started.
package sandbox

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
)

// Policy is what a confined process may use beside its open files. What is not
// there is left out.
type Policy struct {
	Read  []string `json:"read"`  // files and folders that it may read and execute
	Write []string `json:"write"` // files and folders that it may change too
}

// marker is the name under which this program confines itself.
const marker = "bridge-sandbox"

// Confine makes a command that has not been started yet start confined. Its path
// may be one below /proc/self/fd that cmd.ExtraFiles opens.
func (p Policy) Confine(cmd *exec.Cmd) error {
	if err := Supported(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program to start the sandbox: %w", err)
	}
	policy, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("start the sandbox: %w", err)
	}
	cmd.Args = append([]string{marker, string(policy), cmd.Path}, cmd.Args...)
	cmd.Path = self
	return nil
}

// Enter returns at once unless [Policy.Confine] started this process: then it does
// not return. It belongs at the beginning of main.
func Enter() {
	if len(os.Args) < 4 || os.Args[0] != marker {
		return
	}
	err := enter(os.Args[1], os.Args[2], os.Args[3:])
	fmt.Fprintf(os.Stderr, "the sandbox cannot be entered: %v\n", err)
	os.Exit(126)
}

func enter(text, program string, args []string) error {
	var policy Policy
	if err := json.Unmarshal([]byte(text), &policy); err != nil {
		return err
	}
	return policy.become(program, args)
}

// System returns what programs need of the system: its programs and libraries,
// and what describes the machine and the time. It has no user's files, and of /etc
// only what the C library reads.
func System() []string {
	return []string{
		"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/usr", "/opt", "/nix/store", "/proc", "/sys",
		"/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/ld.so.preload", "/etc/localtime", "/etc/timezone",
		"/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/locale.alias", "/etc/os-release", "/etc/alternatives", "/etc/OpenCL",
	}
}
