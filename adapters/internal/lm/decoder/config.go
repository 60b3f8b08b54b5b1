package decoder

import (
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/layers"
	"github.com/modular-bridging/bridge/internal/weights"
)

// Unsupported returns an error for a configuration that the family does not compute.
func Unsupported(folder *weights.Folder, format string, args ...any) error {
	return configError(adapters.Unsupported, folder, format, args...)
}

// Corrupt returns an error for a configuration that is impossible.
func Corrupt(folder *weights.Folder, format string, args ...any) error {
	return configError(adapters.Corrupt, folder, format, args...)
}

func configError(kind adapters.Kind, folder *weights.Folder, format string, args ...any) error {
	err := adapters.Errorf(kind, format, args...)
	err.Message = folder.Path("config.json") + ": " + err.Message
	return err
}

// Size is a value of config.json that must be positive.
type Size struct {
	Key   string
	Value int
}

// CheckSizes checks each size with [weights.CheckSize].
func CheckSizes(folder *weights.Folder, sizes ...Size) error {
	for _, s := range sizes {
		if err := weights.CheckSize(s.Key, s.Value); err != nil {
			return Corrupt(folder, "%w", err)
		}
	}
	return nil
}

// CheckActivation returns an error for an activation that package layers lacks.
func CheckActivation(folder *weights.Folder, key, name string) error {
	if !layers.KnownActivation(name) {
		return Unsupported(folder, "%s %q, want one of %s", key, name, strings.Join(layers.Activations(), ", "))
	}
	return nil
}

// Windows returns the sliding window of each block: 0 for layers of type
// "full_attention", window for "sliding_attention" (transformers,
// configuration_utils.py).
func Windows(folder *weights.Folder, types []string, blocks int, window *int) ([]int, error) {
	if len(types) != blocks {
		return nil, Corrupt(folder, "layer_types names %d layers, num_hidden_layers is %d", len(types), blocks)
	}
	windows := make([]int, blocks)
	for i, kind := range types {
		switch kind {
		case "full_attention", "attention":
		case "sliding_attention":
			if window == nil || *window <= 0 {
				return nil, Corrupt(folder, "layer %d is of type sliding_attention, and no sliding_window is in use", i)
			}
			windows[i] = *window
		default:
			return nil, Unsupported(folder, "layer_types has %q, want full_attention or sliding_attention", kind)
		}
	}
	return windows, nil
}
