package weights

import (
	"fmt"
	"strings"
)

// maxLayers bounds the number of layers whose tensors are listed before the weights are read;
// the deepest released models have about 200.
const maxLayers = 10_000

// CheckSize returns an error for a number of config.json that is not positive, or that counts
// layers (num_hidden_layers, num_layers, n_layer, …) and is absurdly large.
func CheckSize(key string, value int) error {
	if value <= 0 {
		return fmt.Errorf("%s is %d, want a positive number", key, value)
	}
	if strings.HasSuffix(strings.TrimSuffix(key, "s"), "layer") && value > maxLayers {
		return fmt.Errorf("%s is %d, want at most %d", key, value, maxLayers)
	}
	return nil
}
