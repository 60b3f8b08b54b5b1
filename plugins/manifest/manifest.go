// Package manifest reads plugin.toml, the file beside a plugin's executable that describes
// the plugin and the access that it needs. Reading it runs no code of the plugin.
package manifest

import (
	"bytes"
	"fmt"
	"path/filepath"

	"github.com/BurntSushi/toml"

	"github.com/modular-bridging/bridge/adapters"
)

// File is the name of the manifest in a plugin's folder.
const File = "plugin.toml"

// Prefix begins the name of a plugin's executable. The plugin's own name follows.
const Prefix = "bridge-adapter-"

// Manifest is a plugin's description of itself.
type Manifest struct {
	Name     string             `toml:"name"`     // lower case letters, digits, - and _
	Version  string             `toml:"version"`  // semantic, without a v: "1.2.0"
	Protocol []int              `toml:"protocol"` // major versions of the plugin protocol that it speaks, rising
	Kind     adapters.ModelKind `toml:"kind"`
	// Families are those that the executable serves. The first is the default. Without
	// any, the executable serves one, which needs no name.
	Families []string `toml:"families,omitempty"`
	// Executable is a path in the plugin's folder, with slashes. Its last element is
	// Prefix and the plugin's name, which is also the default.
	Executable string `toml:"executable,omitempty"`
	// Capabilities are the capabilities of the plugin's models.
	Capabilities []adapters.Capability `toml:"capabilities,omitempty"`
	// Environment names the variables that the plugin needs in addition to those that
	// every plugin sees. It gets those that the user allows.
	Environment []string `toml:"environment,omitempty"`
	Network     bool     `toml:"network"` // the plugin needs the network, and so cannot run in the sandbox

	Description string `toml:"description,omitempty"` // one line
	License     string `toml:"license,omitempty"`     // SPDX, such as "Apache-2.0"
	Homepage    string `toml:"homepage,omitempty"`    // http or https
	// PublicKey is the author's minisign key, for users who decide to trust it. The
	// signature is in a file beside the manifest, and covers the manifest.
	PublicKey string `toml:"public_key,omitempty"`

	// Exclude are paths in the plugin's folder, with slashes, that do not belong to the
	// plugin. [Manifest.MembershipOf] lists further ones that never do.
	Exclude []string `toml:"exclude,omitempty"`

	Build Build `toml:"build,omitempty"` // from source; empty if the folder holds the executable
	Test  Test  `toml:"test,omitempty"`
}

// Build says how to build the executable.
type Build struct {
	Command string `toml:"command,omitempty"` // a line for /bin/sh, in the plugin's folder
	// Makes are the entries at the folder's root that the command makes for the machine
	// on which it runs. They belong to the plugin, and a lock pins them, but a signature
	// does not cover them and a release does not contain them.
	Makes []string `toml:"makes,omitempty"`
}

// Test says which checkpoint `bridge plugin test` loads.
type Test struct {
	Checkpoint string `toml:"checkpoint,omitempty"` // a path in the plugin's folder; empty if the plugin contains its model
}

// Program returns the executable's path in the plugin's folder, with slashes.
func (m Manifest) Program() string {
	if m.Executable != "" {
		return m.Executable
	}
	return Prefix + m.Name
}

// Path returns the path of the executable of a plugin in folder dir.
func (m Manifest) Path(dir string) string { return filepath.Join(dir, filepath.FromSlash(m.Program())) }

// Encode returns the manifest as a file that parses to the same value.
func (m Manifest) Encode() ([]byte, error) {
	var buf bytes.Buffer
	encoder := toml.NewEncoder(&buf)
	encoder.Indent = ""
	if err := encoder.Encode(m); err != nil {
		return nil, fmt.Errorf("encode the manifest of %s: %w", m.Name, err)
	}
	return buf.Bytes(), nil
}
