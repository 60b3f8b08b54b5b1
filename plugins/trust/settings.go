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

// SettingsFile is the file in the user's configuration folder with the settings for all
// plugins.
const SettingsFile = "plugins.toml"

// Sandbox says whether plugins are confined.
type Sandbox string

// The values of the recipe's key and the flag. Empty means the user's setting, or SandboxNone
// if there is none.
const (
	SandboxNone Sandbox = "none"
	SandboxOn   Sandbox = "on"
)

// CheckSandbox returns an error if s is neither empty nor a value of [Sandbox].
func CheckSandbox(s string) error {
	choices := []string{string(SandboxNone), string(SandboxOn)}
	if s == "" || slices.Contains(choices, s) {
		return nil
	}
	return adapters.Errorf(adapters.Invalid, "is %q, want none or on%s", s, didyoumean.Hint(s, choices))
}

// Settings are a user's settings for all plugins.
type Settings struct {
	Locked        bool    `toml:"locked"`         // start only plugins that the project's lock file pins
	RequireSigned bool    `toml:"require_signed"` // start only plugins that a key of Keys has signed
	Sandbox       Sandbox `toml:"sandbox"`
	// Keys are minisign's public keys, by names that the user chooses.
	Keys map[string]string `toml:"keys"`
	// Environment names the variables that a plugin may see in addition to those that
	// every plugin sees, by the plugin's name.
	Environment map[string][]string `toml:"environment"`

	keys release.Keys
}

// ReadSettings reads the settings from a configuration folder. Without a file it returns the
// zero settings.
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

// PublicKeys returns the keys that the user trusts.
func (s Settings) PublicKeys() release.Keys { return s.keys }
