package manifest

import (
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

func TestMismatches(t *testing.T) {
	m := Manifest{Version: "1.2.0", Protocol: []int{1, 2}, Capabilities: []adapters.Capability{adapters.CapGradient, adapters.CapScore}}
	both := m.Capabilities
	for name, c := range map[string]struct {
		version      string
		protocol     int
		capabilities []adapters.Capability
		want         string
	}{
		"the same":        {"1.2.0", 1, both, ""},
		"as Go writes it": {"v1.2.0", 2, both, ""},
		"of a build":      {"1.2.0+dirty", 1, both, ""},
		"none":            {"", 1, both, ""},
		"made up":         {"v0.0.0-20260102030405-0123456789ab", 1, both, ""},
		"another order":   {"1.2.0", 1, []adapters.Capability{adapters.CapScore, adapters.CapGradient}, ""},
		"older":           {"1.1.0", 1, both, `plugin.toml says version 1.2.0, the program "1.1.0"`},
		"pre-release":     {"1.2.0-rc1", 1, both, `says version 1.2.0, the program "1.2.0-rc1"`},
		"no version":      {"today", 1, both, `the program "today"`},
		"protocol":        {"1.2.0", 3, both, "plugin.toml says protocol [1 2], the program speaks 3"},
		"less":            {"1.2.0", 1, both[:1], `plugin.toml names the capability "score", which the program's model lacks`},
		"more":            {"1.2.0", 1, append(both[:2:2], adapters.CapEmbedTokens), `has the capability "embed-tokens", which plugin.toml does not name`},
		"all":             {"2.0.0", 3, nil, `2.0.0"; plugin.toml says protocol [1 2], the program speaks 3; plugin.toml names the capability "gradient"`},
	} {
		got := strings.Join(m.Mismatches(c.version, c.protocol, c.capabilities), "; ")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q in it", name, got, c.want)
		}
	}
}
