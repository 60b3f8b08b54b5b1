package serve

import "github.com/modular-bridging/bridge/recipes"

// processLimits are the limits of the frozen models' processes: a request whose process dies is
// repeated once.
func processLimits() recipes.Limits {
	once := 1
	return recipes.Limits{Restarts: &once}
}
