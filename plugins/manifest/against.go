package manifest

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"github.com/modular-bridging/bridge/adapters"
)

// Against says in words how a program that runs is not what its manifest says: its
// version, the protocol's major that it speaks, and the capabilities of its model.
// Of a program that gives no version, or one that Go's tools made up for it, none is
// held against it.
func (m Manifest) Against(version string, protocol int, capabilities []adapters.Capability) []string {
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
