// Command adapter-go-gomlx is a language model in a plugin that computes with GoMLX:
// its gradient by the soft prompts is GoMLX's automatic differentiation, on the
// backend that bridge asks for.
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

// family tells bridge what this plugin serves.
func family() adapters.Family {
	return adapters.Family{
		Name: name, Kind: adapters.KindLanguage, ModelTypes: []string{name},
		OpenLanguage: func(_ context.Context, req *adapters.LoadRequest) (adapters.LanguageModel, error) {
			return open(req)
		},
	}
}
