package trust

import (
	"path"
	"path/filepath"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/shell"
	"github.com/modular-bridging/bridge/plugins/manifest"
	"github.com/modular-bridging/bridge/plugins/store"
)

// checkStrayCode returns an error if the plugin's folder holds code that is not pinned,
// signed or copied: a program could run it as its own. It allows such code in a folder that
// is named by its path and neither pinned nor signed, because that is its author's.
func (g *Guard) checkStrayCode(v Verdict) error {
	vouched := v.Locked || g.policy.Locked || g.policy.RequireSigned || v.Signer.Name != ""
	if !vouched && v.Place == store.ByPath {
		return nil
	}
	return rejectStrayCode(v.Snapshot)
}

// rejectStrayCode returns an error if the folder of a plugin holds code that does not belong
// to the plugin.
func rejectStrayCode(s store.Snapshot) error {
	if len(s.StrayCode) == 0 {
		return nil
	}
	return adapters.Errorf(adapters.Invalid, "the folder of plugin %s, %s, holds code that does not belong to the plugin and is neither locked nor signed: %s",
		s.Name, s.Dir, strings.Join(s.StrayCode, ", ")).
		WithRemedy("remove %s; if the plugin needs it, take it out of exclude in %s, or give it another name", shell.Command(strayPaths(s)...), manifest.File)
}

// strayPaths returns the paths of code that does not belong to the plugin. For bytecode of
// Python it returns the whole folder, which Python makes anew.
func strayPaths(s store.Snapshot) []string {
	var paths []string
	for _, name := range s.StrayCode {
		if path.Base(path.Dir(name)) == manifest.Bytecode {
			name = path.Dir(name)
		}
		paths = append(paths, filepath.Join(s.Dir, filepath.FromSlash(name)))
	}
	return paths
}
