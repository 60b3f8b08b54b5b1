package manifest

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"github.com/modular-bridging/bridge/adapters"
)

// Mismatches returns the differences between the manifest and a running program, in words:
// the version, the major version of the protocol, and the capabilities of the model. The
// version is not compared if the program reports none, or a Go pseudo-version.
func (m Manifest) Mismatches(version string, protocol int, capabilities []adapters.Capability) []string {
	var found []string
	v := "v" + strings.TrimPrefix(version, "v")
	if version != "" && !module.IsPseudoVersion(v) && (!semver.IsValid(v) || semver.Compare(v, "v"+m.Version) != 0) {
		found = append(found, fmt.Sprintf("%s says version %s, the program %q", File, m.Version, version))
	}
	if !slices.Contains(m.Protocol, protocol) {
		found = append(found, fmt.Sprintf("%s says protocol %v, the program speaks %d", File, m.Protocol, protocol))
	}
	for _, c := range m.Capabilities {
		if !slices.Contains(capabilities, c) {
			found = append(found, fmt.Sprintf("%s names the capability %q, which the program's model lacks", File, c))
		}
	}
	for _, c := range capabilities {
		if !slices.Contains(m.Capabilities, c) {
			found = append(found, fmt.Sprintf("the program's model has the capability %q, which %s does not name", c, File))
		}
	}
	return found
}
