package data_test

import (
	"fmt"
	"image"
	"image/png"
	"log"
	"os"
	"path/filepath"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/kit"
)

// Example opens a data set and chooses the records of two batches.
func Example() {
	d, err := data.OpenKit(kit.Train, 1000, adapters.ImageSpec{Width: 64, Height: 64})
	if err != nil {
		log.Fatal(err)
	}
	sampler := &data.Sampler{Seed: 1, Batch: 2, Len: d.Len()}
	for step := range 2 {
		for _, row := range sampler.Indices(step) {
			record, err := d.Record(row)
			if err != nil {
				log.Fatal(err)
			}
			fmt.Printf("step %d: %s, %q, %d questions\n", step, record.ID, record.Captions[0], len(record.Questions))
		}
	}
	// Output:
	// step 0: train-000279, "two pigs on a blue background", 4 questions
	// step 0: train-000359, "three whales on a blue background", 4 questions
	// step 1: train-000977, "a lemon above a dog on a red background", 5 questions
	// step 1: train-000540, "a rocket left of a helicopter on a white background", 5 questions
}

// ExampleOpenFiles reads captions and questions in LAVIS's layout.
func ExampleOpenFiles() {
	dir, err := os.MkdirTemp("", "data")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			log.Fatal(err)
		}
		return path
	}
	captions := write("captions.json", `[
		{"image": "1.png", "caption": "a dog", "image_id": 1},
		{"image": "1.png", "caption": "a brown dog", "image_id": 1},
		{"image": "2.png", "caption": "a cat", "image_id": 2}]`)
	questions := write("questions.json", `[{"image": "1.png", "question": "how many dogs?", "answer": "1"}]`)
	picture, err := os.Create(filepath.Join(dir, "1.png"))
	if err != nil {
		log.Fatal(err)
	}
	if err := png.Encode(picture, image.NewRGBA(image.Rect(0, 0, 8, 8))); err != nil {
		log.Fatal(err)
	}
	if err := picture.Close(); err != nil {
		log.Fatal(err)
	}

	d, broken, err := data.OpenFiles(data.Files{Captions: captions, Questions: questions, Images: dir},
		adapters.ImageSpec{Width: 4, Height: 4, Resample: "bicubic", Mode: "squash"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(broken), "picture is missing")
	for i := range d.Len() {
		record, err := d.Record(i)
		if err != nil {
			log.Fatal(err)
		}
		picture, err := d.Image(i)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %q, %+v, %s\n", record.ID, record.Captions, record.Questions, picture.Describe())
	}
	// Output:
	// 1 picture is missing
	// 1.png: ["a dog" "a brown dog"], [{Question:how many dogs? Answer:1 Answers:[] Kind: Weights:[]}], uint8[4, 4, 3]
}
