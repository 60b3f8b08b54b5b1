// Package xlaflags adds to XLA_FLAGS the flags that a PJRT plugin knows.
//
// XLA ends the process when it finds a flag in XLA_FLAGS that it does not know, and plugins of
// different versions know different flags. [Trial.Ask] therefore tries flags in a process of its own,
// once for each plugin file, and keeps the answers in a folder. The package must not know what the
// flags are for.
package xlaflags

import (
	"os"
	"strings"
	"sync"
)

// Variable is the environment variable with XLA's flags.
const Variable = "XLA_FLAGS"

// before has the user's flags once [Set] was called.
var before struct {
	sync.Mutex
	set  bool
	user string
}

// User returns the user's flags: XLA_FLAGS as it was when the process started. Other programs must be
// started with these, because their version of XLA may not know what this process added.
func User() string {
	before.Lock()
	defer before.Unlock()
	if before.set {
		return before.user
	}
	return os.Getenv(Variable)
}

// Set changes XLA_FLAGS to the user's flags with others after them. XLA reads the variable once, when
// the plugin is first used.
func Set(flags []string) error {
	user := User()
	before.Lock()
	defer before.Unlock()
	before.set, before.user = true, user
	if value := join(user, flags); value != "" {
		return os.Setenv(Variable, value)
	}
	return os.Unsetenv(Variable)
}

func join(user string, flags []string) string {
	return strings.TrimSpace(user + " " + strings.Join(flags, " "))
}

// Clash returns a reason why flags cannot be added to the user's, or "". The user's value of a flag
// wins. XLA takes a value that does not begin with "-" as the name of a file with flags.
func Clash(user string, flags []string) string {
	given := strings.Fields(user)
	if len(given) > 0 && !strings.HasPrefix(given[0], "-") {
		return Variable + " names a file"
	}
	for _, flag := range flags {
		for _, own := range given {
			if name(own) == name(flag) {
				return Variable + " has " + name(flag)
			}
		}
	}
	return ""
}

// name returns "--flag" for "--flag=value".
func name(flag string) string {
	before, _, _ := strings.Cut(flag, "=")
	return "--" + strings.TrimLeft(before, "-")
}
