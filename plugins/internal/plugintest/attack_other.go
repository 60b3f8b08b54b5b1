//go:build !linux

package plugintest

// attack has nothing to attack: there are no arenas.
func attack(string) []string { return nil }
