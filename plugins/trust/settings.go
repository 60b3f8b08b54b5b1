package trust

import (
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/didyoumean"
	"github.com/modular-bridging/bridge/internal/stricttoml"
	"github.com/modular-bridging/bridge/plugins/manifest"
	"github.com/modular-bridging/bridge/plugins/release"
)

// SettingsFile is the file in the user's configuration folder that says what he
// has decided about plugins.
const SettingsFile = "plugins.toml"

// Sandbox says whether a plugin is confined.
type Sandbox string

// The values of the recipe's key and the flag; empty leaves it to the user's
// settings, and to SandboxNone after them.
const (
	SandboxNone Sandbox = "none"
	SandboxOn   Sandbox = "on"
)

// CheckSandbox returns an error for what is no value of [Sandbox].
func CheckSandbox(s string) error {
	choices := []string{string(SandboxNone), string(SandboxOn)}
	if s == "" || slices.Contains(choices, s) {
		return nil
	}
	return adapters.Errorf(adapters.Invalid, "is %q, want none or on%s", s, didyoumean.Hint(s, choices))
}

// Settings are what a user has decided for all plugins.
type Settings struct {
	Locked        bool    `toml:"locked"`         // start only plugins that the project's lock file pins
	RequireSigned bool    `toml:"require_signed"` // start only plugins that a key of Keys has signed
	Sandbox       Sandbox `toml:"sandbox"`
	// Keys are public keys of minisign's, by a name of the user's.
	Keys map[string]string `toml:"keys"`
	// Environment names the variables that a plugin may see beside those that all
	// see, by the plugin's name.
	Environment map[string][]string `toml:"environment"`

	keys release.Keys
}

// ReadSettings reads the file in a configuration folder; without one nothing is
// decided.
func ReadSettings(config string) (Settings, error) {
	var s Settings
	if config == "" {
		return s, nil
	}
	doc, err := stricttoml.Read(filepath.Join(config, SettingsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	doc.Decode(&s)
	if err := CheckSandbox(string(s.Sandbox)); err != nil {
		doc.Errorf("sandbox", "%w", err)
	}
	for _, plugin := range slices.Sorted(maps.Keys(s.Environment)) {
		if err := manifest.CheckVariables(s.Environment[plugin]); err != nil {
			doc.Errorf("environment."+plugin, "%w", err)
		}
	}
	if s.keys, err = release.ParseKeys(s.Keys); err != nil {
		doc.Errorf("keys", "%w", err)
	}
	return s, doc.Err()
}

// PublicKeys are the keys that the user trusts.
func (s Settings) PublicKeys() release.Keys { return s.keys }
