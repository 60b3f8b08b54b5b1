package manifest

import (
	"path"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/internal/dirhash"
)

// atRoot lists the entries of a plugin's folder that never belong to the plugin: files of
// version control, editors and checkers, and files that bridge writes when it runs in the
// folder.
func atRoot() map[string]dirhash.Stay {
	const no = dirhash.Unsearched // no module, and on no path where programs are looked up
	return map[string]dirhash.Stay{
		".git": no, ".hg": no, ".svn": no, ".jj": no, ".idea": no, ".vscode": no, ".DS_Store": no,
		".mypy_cache": no, ".pytest_cache": no, ".ruff_cache": no,
		"runs": dirhash.Out, "bridge.lock": dirhash.Out,
	}
}

// Bytecode is the folder of Python's compiled files. A virtual environment contains some.
const Bytecode = "__pycache__"

// Membership says whether an entry of the plugin's folder, a path with slashes, belongs to
// the plugin. It is the one rule for what is pinned, signed and copied: everything except
// the entries of atRoot, the bytecode of the plugin's own Python sources, and what the
// manifest excludes.
func (m Manifest) Membership(name string) dirhash.Stay {
	if stay, ok := atRoot()[name]; ok {
		return stay
	}
	if path.Base(name) == Bytecode && !environment(name) {
		return dirhash.Out
	}
	if slices.Contains(m.Exclude, name) {
		return dirhash.Out
	}
	return dirhash.In
}

// environment reports whether a path is in a Python virtual environment, by its name.
func environment(name string) bool {
	parts := strings.Split(name, "/")
	return parts[0] == ".venv" || slices.Contains(parts, "site-packages")
}
