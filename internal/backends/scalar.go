package backends

import (
	"os"
	"strings"
)

// The Go backend multiplies with AVX-512 or AVX2, and leaves the upper halves of the registers set. Go's
// math.Exp then mixes instructions of both kinds and takes up to 400 times as long, and with it every
// softmax, sigmoid and GELU. Without FMA it does not mix them (docs/decisions/0028). Go reads this setting
// when a program starts, so it must be in the environment by then.
const (
	debugVariable = "GODEBUG"
	withoutFMA    = "cpu.fma=off"
)

// FastScalars reports whether this process computes exponentials at full speed beside the Go backend's
// vectors.
func FastScalars() bool {
	return !slowScalars || strings.Contains(os.Getenv(debugVariable), withoutFMA)
}

// Relaunch replaces this process by the same program with GODEBUG=cpu.fma=off, if the Go backend needs it
// and GODEBUG does not say what to do about cpu.fma. It returns if there is nothing to do, or if the system
// does not let it: the program then computes more slowly.
func Relaunch() {
	settings := os.Getenv(debugVariable)
	if !slowScalars || strings.Contains(settings, "cpu.fma=") {
		return
	}
	program, err := os.Executable()
	if err != nil {
		return
	}
	if settings != "" {
		settings += ","
	}
	if os.Setenv(debugVariable, settings+withoutFMA) == nil {
		replaceProcess(program)
	}
}
