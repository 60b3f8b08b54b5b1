package conformance

import (
	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
)

// Cases returns the cases for plugins of a kind, except golden ones.
func Cases(kind adapters.ModelKind) (all []Info) {
	for _, c := range processCases() {
		all = append(all, c.Info)
	}
	add := func(i Info) {
		i.Name = contractPrefix + i.Name
		all = append(all, i)
	}
	if kind == adapters.KindVision {
		for _, c := range adaptertest.Vision(adaptertest.Options{}) {
			add(c.Info)
		}
		return all
	}
	for _, c := range adaptertest.Language(adaptertest.Options{}) {
		add(c.Info)
	}
	return all
}
