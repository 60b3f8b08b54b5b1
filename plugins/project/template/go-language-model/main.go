// Command bridge-adapter-mybackbone is a plugin for bridge with a frozen language model.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins"
)

// The same as in plugin.toml.
const (
	name    = "mybackbone"
	version = "0.1.0"
)

func main() {
	err := plugins.ServeWith(plugins.ServeConfig{Families: []adapters.Family{family()}, Name: name, Version: version})
	if err != nil { // the program was started by hand, for example
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

// family describes the models that this program serves.
func family() adapters.Family {
	return adapters.Family{
		Name: name, Kind: adapters.KindLanguage, ModelTypes: []string{name},
		OpenLanguage: func(_ context.Context, req *adapters.LoadRequest) (adapters.LanguageModel, error) {
			return open(req)
		},
	}
}
