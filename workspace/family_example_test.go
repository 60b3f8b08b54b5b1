package workspace_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/workspace"
)

// toyFamilies returns a vision family and a language family, which read folders of their own
// model_type. The models are the fakes of the contract suite.
func toyFamilies() []adapters.Family {
	return []adapters.Family{
		{
			Name: "toy-vision", Kind: adapters.KindVision, ModelTypes: []string{"toy_vision"},
			DescribeVision: func(string) (adapters.VisionSpec, error) {
				return adaptertest.NewFakeVision("toy", 1).Spec(), nil
			},
			OpenVision: func(_ context.Context, req *adapters.LoadRequest) (adapters.VisionEncoder, error) {
				return adaptertest.NewFakeVision(req.ID, 1), nil
			},
		},
		{
			Name: "toy-language", Kind: adapters.KindLanguage, ModelTypes: []string{"toy_language"}, Architecture: adapters.DecoderOnly,
			OpenLanguage: func(_ context.Context, req *adapters.LoadRequest) (adapters.LanguageModel, error) {
				return adaptertest.NewFakeLanguage(req.ID, 1), nil
			},
		},
	}
}

// A family is a value. Package adapters/builtin lists bridge's own, and a program can add others
// to its workspace. Folders of the family's model_type then open like any other.
func ExampleOptions_families() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	w := workspace.New(workspace.Options{Families: toyFamilies()})
	reg, err := w.Registry()
	if err != nil {
		log.Fatal(err)
	}
	for _, modelType := range []string{"toy_vision", "toy_language"} {
		folder := filepath.Join(dir, modelType)
		if err := os.Mkdir(folder, 0o755); err != nil {
			log.Fatal(err)
		}
		config := fmt.Sprintf(`{"model_type": %q, "hidden_size": 12}`, modelType)
		if err := os.WriteFile(filepath.Join(folder, "config.json"), []byte(config), 0o644); err != nil {
			log.Fatal(err)
		}
		found, err := reg.Lookup(folder)
		if err != nil {
			log.Fatal(err)
		}
		spec := workspace.OpenSpec{Model: found}
		if found.Kind == adapters.KindVision {
			encoder, err := w.OpenVision(context.Background(), spec)
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(found.ID, "gives", encoder.Spec().Tokens, "feature tokens")
			continue
		}
		model, err := w.OpenLanguage(context.Background(), spec)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(found.ID, "reads soft prompts of width", model.Spec().Width)
	}
	// Output:
	// toy_vision gives 4 feature tokens
	// toy_language reads soft prompts of width 12
}
