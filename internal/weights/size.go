package weights

import (
	"fmt"
	"strings"
)

// maxLayers is the largest number of layers in a config.json. The tensors of all layers are listed
// before the weights are read. The deepest released models have about 200 layers.
const maxLayers = 10_000

// CheckSize checks a number in config.json. It returns an error if the number is not positive, or
// if it is an absurdly large number of layers (num_hidden_layers, num_layers, n_layer, …).
func CheckSize(key string, value int) error {
	if value <= 0 {
		return fmt.Errorf("%s is %d, want a positive number", key, value)
	}
	if strings.HasSuffix(strings.TrimSuffix(key, "s"), "layer") && value > maxLayers {
		return fmt.Errorf("%s is %d, want at most %d", key, value, maxLayers)
	}
	return nil
}
