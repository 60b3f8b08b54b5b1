package host_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/host"
	"github.com/modular-bridging/bridge/plugins/internal/plugintest"
)

// A host starts a plugin's executable and calls the model in it as if it were in this
// process. The executable here is this test, which serves a model in the mode "works".
func ExampleOpenLanguage() {
	executable, err := os.Executable()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	model, err := host.OpenLanguage(ctx, host.Config{
		Path: executable, Family: "language", Load: adapters.LoadRequest{ID: "tiny"}, Env: []string{plugintest.ModeKey + "=works"},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	resp, err := model.Loss(ctx, &adapters.LossRequest{
		Prompts:  adapters.NewTensor(adapters.Float32, 1, 2, model.Spec().Width),
		Examples: []adapters.Example{{Segments: []adapters.Segment{adapters.PromptSegment(0)}, Target: "a cat"}},
		Gradient: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(model.Spec().ID, "returns the gradient", resp.Gradient.Describe())
	// Output: tiny returns the gradient float32[1, 2, 12]
}
