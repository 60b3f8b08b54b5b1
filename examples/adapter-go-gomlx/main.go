// Command adapter-go-gomlx is a language model in a plugin that computes with GoMLX, on the
// backend that bridge requests. GoMLX differentiates the loss by the soft prompts.
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

// family describes the model that this plugin serves.
func family() adapters.Family {
	return adapters.Family{
		Name: name, Kind: adapters.KindLanguage, ModelTypes: []string{name},
		OpenLanguage: func(_ context.Context, req *adapters.LoadRequest) (adapters.LanguageModel, error) {
			return open(req)
		},
	}
}
