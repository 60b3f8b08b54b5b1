package workspace_test

import (
	"context"
	"fmt"
	"log"

	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/workspace"
)

// A program opens a model by name and captions a picture.
func ExampleOpenModel() {
	ctx := context.Background()
	model, err := workspace.OpenModel(ctx, "kit:stage2", workspace.OpenOptions{Backend: "go"})
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	pictures, err := data.ReadPictures(model.Vision.Spec().Image, "kit:held-out/17")
	if err != nil {
		log.Fatal(err)
	}
	captions, err := model.Caption(ctx, pictures, bridge.GenerateOptions{MaxNewTokens: 20})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(captions[0])
	// Output: two umbrellas on a yellow background
}
