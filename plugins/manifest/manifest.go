// Package manifest reads plugin.toml, the file beside a plugin's executable that
// says what the plugin is and what it asks for. Reading it runs nothing of the
// plugin.
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

// Prefix is what the name of a plugin's executable begins with; the plugin's own
// name follows.
const Prefix = "bridge-adapter-"

// Manifest is what a plugin says of itself.
type Manifest struct {
	Name     string             `toml:"name"`     // lower case letters, digits, - and _
	Version  string             `toml:"version"`  // semantic, without a v: "1.2.0"
	Protocol []int              `toml:"protocol"` // majors of the plugin protocol that it speaks, rising
	Kind     adapters.ModelKind `toml:"kind"`
	// Families are those that the executable serves; the first is meant where
	// nothing names one. None: it serves one and is not asked.
	Families []string `toml:"families,omitempty"`
	// Executable is a path in the plugin's folder, with slashes. Its last element
	// is Prefix and the name, which is also what it is where nothing is given.
	Executable string `toml:"executable,omitempty"`
	// Capabilities are those of package adapters that its models have.
	Capabilities []adapters.Capability `toml:"capabilities,omitempty"`
	// Environment names variables that the plugin wants beside those that every
	// plugin sees. It gets those that the user allows.
	Environment []string `toml:"environment,omitempty"`
	Network     bool     `toml:"network"` // it needs the network: it cannot run in the sandbox

	Description string `toml:"description,omitempty"` // one line
	License     string `toml:"license,omitempty"`     // SPDX, as "Apache-2.0"
	Homepage    string `toml:"homepage,omitempty"`    // http or https
	// PublicKey is the author's minisign key, for who wants to trust it. The
	// signature itself lies beside the manifest, which it covers.
	PublicKey string `toml:"public_key,omitempty"`

	// Exclude are paths in the plugin's folder, with slashes, that are not the
	// plugin's, beside those that are no plugin's: [Manifest.Stays] has the rule.
	Exclude []string `toml:"exclude,omitempty"`

	Build Build `toml:"build,omitempty"` // of a project's source; empty where the executable is there
	Test  Test  `toml:"test,omitempty"`
}

// Build says how the executable is made.
type Build struct {
	Command string `toml:"command,omitempty"` // a line for /bin/sh, in the plugin's folder
	// Makes are the entries at the folder's root that the command makes for the
	// machine that it runs on. They are the plugin's, and a lock pins them, but they
	// are not released: a signature does not cover them.
	Makes []string `toml:"makes,omitempty"`
}

// Test says what `bridge plugin test` loads.
type Test struct {
	Checkpoint string `toml:"checkpoint,omitempty"` // a path in the plugin's folder; empty where it brings its model
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
