// Command adapter-go-gomlx is a plugin with a language model on GoMLX. GoMLX's automatic
// differentiation computes the gradient with respect to the soft prompts, on the backend
// that bridge requests.
package main

import (
	"context"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins"
)

const name = "attention"

func main() {
	plugins.Serve(family())
}

// family describes the models that this plugin serves.
func family() adapters.Family {
	return adapters.Family{
		Name: name, Kind: adapters.KindLanguage, ModelTypes: []string{name},
		OpenLanguage: func(_ context.Context, req *adapters.LoadRequest) (adapters.LanguageModel, error) {
			return open(req)
		},
	}
}
