package bridge_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/opt"
	"github.com/modular-bridging/bridge/adapters/vit"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/kit/scene"
)

// kitFolder writes the models that the binary carries to a folder.
func kitFolder(ctx context.Context) (dir string, remove func()) {
	tmp, err := os.MkdirTemp("", "bridge-example-")
	if err != nil {
		log.Fatal(err)
	}
	if dir, err = kit.Extract(ctx, tmp); err != nil {
		log.Fatal(err)
	}
	return dir, func() { os.RemoveAll(tmp) }
}

// heldOut returns picture i of the scenes that nothing was trained on, as a batch of one.
func heldOut(i int) *adapters.Tensor {
	scenes, err := kit.Open(kit.HeldOut)
	if err != nil {
		log.Fatal(err)
	}
	return adapters.FromUint8(scenes.Image(i), 1, scene.Side, scene.Side, 3)
}

// A model is a bridge between two frozen models. Here all three are the kit's.
func ExampleModel_Caption() {
	ctx := context.Background()
	dir, remove := kitFolder(ctx)
	defer remove()

	backend, err := bridge.OpenBackend("go")
	if err != nil {
		log.Fatal(err)
	}
	b, err := bridge.Load(ctx, backend, filepath.Join(dir, "stage2"))
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()
	encoder, err := vit.Family().OpenVision(ctx, &adapters.LoadRequest{Checkpoint: filepath.Join(dir, b.Info.Vision.ID), Backend: "go"})
	if err != nil {
		log.Fatal(err)
	}
	defer encoder.Close()
	llm, err := opt.Family().OpenLanguage(ctx, &adapters.LoadRequest{Checkpoint: filepath.Join(dir, b.Info.Language.ID), Backend: "go"})
	if err != nil {
		log.Fatal(err)
	}
	defer llm.Close()

	m, err := bridge.Compose(b, encoder, llm, nil)
	if err != nil {
		log.Fatal(err)
	}
	texts, err := m.Caption(ctx, heldOut(13), bridge.GenerateOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(texts[0])
	answers, err := m.Answer(ctx, heldOut(13), []string{"what is left of the whale?"}, bridge.GenerateOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answers[0])
	// Output:
	// a penguin left of a whale on a red background
	// a penguin
}

// A stage-1 bridge compares pictures with texts.
func ExampleBridge_Similarity() {
	ctx := context.Background()
	dir, remove := kitFolder(ctx)
	defer remove()

	backend, err := bridge.OpenBackend("go")
	if err != nil {
		log.Fatal(err)
	}
	b, err := bridge.Load(ctx, backend, filepath.Join(dir, "stage1"))
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()
	encoder, err := vit.Family().OpenVision(ctx, &adapters.LoadRequest{Checkpoint: filepath.Join(dir, b.Info.Vision.ID), Backend: "go"})
	if err != nil {
		log.Fatal(err)
	}
	defer encoder.Close()

	resp, err := encoder.Encode(ctx, &adapters.EncodeRequest{Images: heldOut(13)})
	if err != nil {
		log.Fatal(err)
	}
	texts := []string{"two cats on a red background", "a penguin left of a whale on a red background", "a penguin left of a whale on a blue background"}
	scores, err := b.Similarity(ctx, resp.Features, texts)
	if err != nil {
		log.Fatal(err)
	}
	best := 0
	for i, score := range scores.Float32s() {
		if score > scores.Float32s()[best] {
			best = i
		}
	}
	fmt.Println(texts[best])
	// Output: a penguin left of a whale on a red background
}
