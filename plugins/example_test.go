package plugins_test

import (
	"context"
	"fmt"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/plugins"
)

// A plugin is a program whose main function serves a family. Here it is the contract suite's
// fake language model; yours opens the checkpoint folder that req names. A host starts the
// program. If it is started in another way, as here, ServeWith returns an error that says how
// to start it.
func ExampleServeWith() {
	err := plugins.ServeWith(plugins.ServeConfig{Name: "echo", Families: []adapters.Family{{
		Name: "echo", Kind: adapters.KindLanguage, Architecture: adapters.DecoderOnly,
		OpenLanguage: func(_ context.Context, req *adapters.LoadRequest) (adapters.LanguageModel, error) {
			return adaptertest.NewFakeLanguage(req.ID, 1), nil
		},
	}}})
	fmt.Println(adapters.KindOf(err))
	// Output: invalid
}
