package conformance

import "github.com/modular-bridging/bridge/plugins"

// transports are the configuration with each way that tensors can travel.
func transports(cfg plugins.Config) []plugins.Config {
	return []plugins.Config{cfg}
}
