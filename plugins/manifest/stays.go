package manifest

import (
	"github.com/modular-bridging/bridge/internal/dirhash"
	"path"
	"slices"
	"strings"
)

// atRoot lists what lies beside a plugin in its folder and is none of it: what
// version control, editors and checkers keep, and what bridge writes where it is
// run in the folder.
func atRoot() map[string]dirhash.Stay {
	const no = dirhash.Unsearched // no module, and on no path that is searched for programs
	return map[string]dirhash.Stay{
		".git": no, ".hg": no, ".svn": no, ".jj": no, ".idea": no, ".vscode": no, ".DS_Store": no,
		".mypy_cache": no, ".pytest_cache": no, ".ruff_cache": no,
		"runs": dirhash.Out, "bridge.lock": dirhash.Out,
	}
}

// Bytecode is where Python keeps what it has compiled; a virtual environment comes
// with it.
const Bytecode = "__pycache__"

// Stays says whether an entry of the plugin's folder, a path with slashes, is the
// plugin's. It is the one rule of what is pinned, signed and copied: all is the
// plugin's but what atRoot lists, what Python has compiled of the plugin's own
// sources, and what the manifest excludes.
func (m Manifest) Stays(name string) dirhash.Stay {
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

// environment reports whether a path is in a virtual environment, by its name.
func environment(name string) bool {
	parts := strings.Split(name, "/")
	return parts[0] == ".venv" || slices.Contains(parts, "site-packages")
}
