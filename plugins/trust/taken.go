package trust

import (
	"cmp"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/manifest"
	"github.com/modular-bridging/bridge/plugins/store"
)

// What a plugin is taken for: by its manifest, and by the bridge that was trained
// with it.

// Trained is a plugin as a run has recorded it, of [store.Snapshot.Unsigned].
type Trained struct {
	Version, Digest string
	Parts           map[string]string // nil where they are not known
}

// Accept holds what the program that was started says of itself against its
// manifest, which is what a lock pins and what people read. Where only locked or
// signed plugins start, or the lock file has the plugin, an error says what differs;
// else a word does.
func (g *Guard) Accept(version string, protocol int, capabilities []adapters.Capability) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.last
	if v.Dir == "" {
		return nil
	}
	found := strings.Join(v.Manifest.Against(version, protocol, capabilities), "; ")
	if found == "" {
		return nil
	}
	err := adapters.Errorf(adapters.Invalid, "plugin %s is not what its manifest says: %s", v.Name, found).
		WithRemedy("make %s and the program the same: build it anew, or mend the file; of a plugin that is not yours, ask its author for a release where they agree", manifest.File)
	if g.policy.Locked || g.policy.RequireSigned || v.Locked {
		return err
	}
	g.warn(err)
	return nil
}

// warn says what is wrong, once. It is called with mu held.
func (g *Guard) warn(err error) {
	if !g.said[err.Error()] {
		g.said[err.Error()] = true
		g.policy.Log.Warn(err.Error())
	}
}

// asTrained says that a plugin is another than the bridge was trained with, which is
// refused where only locked plugins start.
func (g *Guard) asTrained(v Verdict) error {
	was, is := g.policy.Trained, v.Unsigned()
	if was.Digest == "" || was.Digest == is.Digest || was.Digest == v.Pin.Digest { // older versions kept the last
		return nil
	}
	found := store.Pin{Version: was.Version, Digest: was.Digest, Parts: was.Parts}.Differences(is)
	err := adapters.Errorf(adapters.Corrupt, "plugin %s is another than the bridge was trained with: %s", v.Name, strings.Join(found, "; "))
	where := cmp.Or(v.Dir, v.Program)
	if g.policy.Locked {
		return err.WithRemedy("put %s back as it was, or train a bridge with what it is; without --locked it is used as it is", where)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.warn(err.WithRemedy("put %s back as it was, if what comes out is not what it was", where))
	return nil
}
