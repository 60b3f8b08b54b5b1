package trust

import (
	"cmp"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/manifest"
	"github.com/modular-bridging/bridge/plugins/store"
)

// Trained is a plugin as a run has recorded it, from [store.Snapshot.UnsignedPin].
type Trained struct {
	Version, Digest string
	Parts           map[string]string // nil if they are not known
}

// Accept compares the running program's description of itself with its manifest, which a
// lock pins and people read. A mismatch is an error if the plugin is pinned, or if the
// policy requires a lock or a signature. Otherwise it is logged as a warning.
func (g *Guard) Accept(version string, protocol int, capabilities []adapters.Capability) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.last
	if v.Dir == "" {
		return nil
	}
	found := strings.Join(v.Manifest.Mismatches(version, protocol, capabilities), "; ")
	if found == "" {
		return nil
	}
	err := adapters.Errorf(adapters.Invalid, "plugin %s does not match its manifest: %s", v.Name, found).
		WithRemedy("rebuild the program or correct %s, so that they agree; if the plugin is not yours, ask its author for a release in which they do", manifest.File)
	if g.policy.Locked || g.policy.RequireSigned || v.Locked {
		return err
	}
	g.warn(err)
	return nil
}

// warn logs a warning once. The caller holds mu.
func (g *Guard) warn(err error) {
	if !g.warned[err.Error()] {
		g.warned[err.Error()] = true
		g.policy.Log.Warn(err.Error())
	}
}

// checkTrained compares the plugin with the one with which the bridge was trained. A
// difference is an error if only locked plugins may start, otherwise a warning.
func (g *Guard) checkTrained(v Verdict) error {
	was, is := g.policy.Trained, v.UnsignedPin()
	if was.Digest == "" || was.Digest == is.Digest || was.Digest == v.Pin.Digest { // older versions recorded the pin's digest
		return nil
	}
	found := store.Pin{Version: was.Version, Digest: was.Digest, Parts: was.Parts}.Differences(is)
	err := adapters.Errorf(adapters.Corrupt, "plugin %s differs from the one that the bridge was trained with: %s", v.Name, strings.Join(found, "; "))
	where := cmp.Or(v.Dir, v.Program)
	if g.policy.Locked {
		return err.WithRemedy("restore %s, or train a bridge with the present version; without --locked the present version is used", where)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.warn(err.WithRemedy("restore %s if the results have changed", where))
	return nil
}
