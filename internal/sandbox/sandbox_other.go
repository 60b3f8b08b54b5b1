//go:build !linux || !(amd64 || arm64)

package sandbox

import (
	"runtime"

	"github.com/modular-bridging/bridge/adapters"
)

// Supported returns an error, because this system has no sandbox.
func Supported() error {
	return adapters.Errorf(adapters.Unsupported, "%s/%s has no sandbox", runtime.GOOS, runtime.GOARCH).
		WithRemedy(`set sandbox = "none" if you trust the plugin, or use Linux on amd64 or arm64`)
}

// Devices returns nothing.
func Devices() []string { return nil }

func (p Policy) confineAndExec(string, []string) error { return Supported() }
