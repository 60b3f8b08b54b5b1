package adapters_test

import (
	"context"
	"fmt"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
)

// meanColor is a vision encoder: its only feature token is the mean colour of a picture.
type meanColor struct{}

var _ adapters.VisionEncoder = meanColor{}

func (meanColor) Spec() adapters.VisionSpec {
	return adapters.VisionSpec{
		Spec:   adapters.Spec{ID: "mean-color", Family: "mean-color", Kind: adapters.KindVision, Width: 3, DType: adapters.Float32},
		Tokens: 1,
		Image:  adapters.ImageSpec{Width: 2, Height: 1, Resample: adapters.Bicubic, Mode: adapters.Squash},
	}
}

func (m meanColor) Encode(_ context.Context, req *adapters.EncodeRequest) (*adapters.EncodeResponse, error) {
	if err := req.Check(m.Spec()); err != nil {
		return nil, err
	}
	features := adapters.NewTensor(adapters.Float32, req.Images.Shape[0], 1, 3)
	for i := range req.Images.Shape[0] {
		pixels, row := req.Images.Row(i).Data, features.Row(i).Float32s()
		for j, value := range pixels {
			row[j%3] += float32(value) / 255 / float32(len(pixels)/3)
		}
	}
	return &adapters.EncodeResponse{Features: features}, nil
}

func (meanColor) Close() error { return nil }

// An adapter implements one of two interfaces. Callers hold the interface and cannot tell
// whether the model is built in, in a plugin, or this one.
func Example() {
	var encoder adapters.VisionEncoder = meanColor{}
	redAndBlue := adapters.FromUint8([]uint8{255, 0, 0, 0, 0, 255}, 1, 1, 2, 3)
	resp, err := encoder.Encode(context.Background(), &adapters.EncodeRequest{Images: redAndBlue})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.Features.Describe(), resp.Features.Float32s())
	// Output: float32[1, 1, 3] [0.5 0 0.5]
}

// An error says what is wrong, and its kind tells a caller what to do about it.
func ExampleKindOf() {
	wide := adapters.NewTensor(adapters.Uint8, 1, 1, 5, 3)
	_, err := meanColor{}.Encode(context.Background(), &adapters.EncodeRequest{Images: wide})
	fmt.Println(adapters.KindOf(err))
	fmt.Println(err)
	// Output:
	// invalid
	// images is uint8[1, 1, 5, 3], want shape [-1, 1, 2, 3] (-1 is any size)
}

// A language model reads soft prompts beside text, and returns the gradient of the loss by
// the soft prompts: a bridge is trained with it while the model stays frozen.
func ExampleLanguageModel() {
	model := adaptertest.NewFakeLanguage("fake", 1)
	defer model.Close()
	req := &adapters.LossRequest{
		Prompts:  adapters.NewTensor(adapters.Float32, 1, 2, model.Spec().Width), // one soft prompt of two rows
		Examples: []adapters.Example{{Segments: []adapters.Segment{adapters.PromptSegment(0), adapters.TextSegment("a photo of")}, Target: " a cat"}},
		Gradient: true,
	}
	resp, err := model.Loss(context.Background(), req)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.Tokens, "target tokens, the end included")
	fmt.Println("gradient", resp.Gradient.Describe())
	// Output:
	// [7] target tokens, the end included
	// gradient float32[1, 2, 12]
}
