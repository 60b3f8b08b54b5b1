package wire

import (
	"maps"
	"runtime/debug"
	"slices"

	goplugin "github.com/hashicorp/go-plugin"
)

// UnknownVersion is the version that a plugin reports if it was built without one.
const UnknownVersion = "unknown"

// MainVersion returns the version of this program's main module, or an empty string if
// it was built from a checkout.
func MainVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return ""
}

// Majors returns the major versions of the protocol in a set, rising.
func Majors(versions map[int]goplugin.PluginSet) []int {
	return slices.Sorted(maps.Keys(versions))
}
