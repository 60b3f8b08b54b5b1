package trust

import (
	"path"
	"path/filepath"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/manifest"
	"github.com/modular-bridging/bridge/plugins/store"
)

// strays refuses code that lies in the plugin's folder and is left out of what is
// pinned, signed and copied: a program could take it for its own. Of a folder that a
// path names and nothing vouches for, all is the author's.
func (g *Guard) strays(v Verdict) error {
	vouched := v.Locked || g.policy.Locked || g.policy.RequireSigned || v.Signer.Name != ""
	if !vouched && v.Place == store.ByPath {
		return nil
	}
	return strays(v.Snapshot)
}

func strays(s store.Snapshot) error {
	if len(s.Tree.Code) == 0 {
		return nil
	}
	return adapters.Errorf(adapters.Invalid, "the folder of plugin %s, %s, holds code that does not belong to the plugin, and that no lock pins and no signature covers: %s",
		s.Name, s.Dir, strings.Join(s.Tree.Code, ", ")).
		WithRemedy("remove %s; if the plugin needs it, take it out of exclude in %s, or give it another name", strings.Join(removable(s), " "), manifest.File)
}

// removable are the paths of code that was left out: of what Python has compiled the
// whole folder, which it makes anew.
func removable(s store.Snapshot) []string {
	var paths []string
	for _, name := range s.Tree.Code {
		if path.Base(path.Dir(name)) == manifest.Bytecode {
			name = path.Dir(name)
		}
		paths = append(paths, filepath.Join(s.Dir, filepath.FromSlash(name)))
	}
	return paths
}
