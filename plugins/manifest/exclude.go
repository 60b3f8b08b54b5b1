package manifest

import (
	"path"
	"slices"
	"strings"
)

// Membership says whether an entry of a plugin's folder belongs to the plugin.
type Membership int

// The memberships.
const (
	Member     Membership = iota // pinned, signed and copied
	Excluded                     // not part of the plugin; code in it is reported
	Unsearched                   // not part of the plugin, and neither a module nor on a path where programs are looked up
)

// atRoot lists the entries of a plugin's folder that never belong to the plugin: files of
// version control, editors and checkers, and files that bridge writes when it runs in the
// folder.
func atRoot() map[string]Membership {
	const no = Unsearched
	return map[string]Membership{
		".git": no, ".hg": no, ".svn": no, ".jj": no, ".idea": no, ".vscode": no, ".DS_Store": no,
		".mypy_cache": no, ".pytest_cache": no, ".ruff_cache": no,
		"runs": Excluded, "bridge.lock": Excluded,
	}
}

// Bytecode is the folder of Python's compiled files. A virtual environment contains some.
const Bytecode = "__pycache__"

// MembershipOf returns whether an entry of the plugin's folder, a path with slashes, belongs
// to the plugin. It is the one rule for what is pinned, signed and copied: everything except
// the entries of atRoot, the bytecode of the plugin's own Python sources, and what the
// manifest excludes.
func (m Manifest) MembershipOf(name string) Membership {
	if stay, ok := atRoot()[name]; ok {
		return stay
	}
	if path.Base(name) == Bytecode && !environment(name) {
		return Excluded
	}
	if slices.Contains(m.Exclude, name) {
		return Excluded
	}
	return Member
}

// environment reports whether a path is in a Python virtual environment, by its name.
func environment(name string) bool {
	parts := strings.Split(name, "/")
	return parts[0] == ".venv" || slices.Contains(parts, "site-packages")
}
