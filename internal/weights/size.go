package weights

import (
	"fmt"
	"strings"
)

// maxLayers bounds what is listed of a model before its weights are looked at; the
// deepest released ones have about 200.
const maxLayers = 10_000

// CheckSize refuses a number of config.json that must be positive and, where it
// counts layers (num_hidden_layers, num_layers, n_layer, …), be no absurdity.
func CheckSize(key string, value int) error {
	if value <= 0 {
		return fmt.Errorf("%s is %d, want a positive number", key, value)
	}
	if strings.HasSuffix(strings.TrimSuffix(key, "s"), "layer") && value > maxLayers {
		return fmt.Errorf("%s is %d, want at most %d", key, value, maxLayers)
	}
	return nil
}
