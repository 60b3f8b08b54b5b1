package data_test

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
)

// folders is a data format: a picture's caption is the name of its folder. Its methods are
// all that training, feature caches and reports need.
type folders struct {
	root  string
	files []string
	spec  adapters.ImageSpec
}

var _ data.Dataset = folders{}

func (f folders) Name() string   { return f.root }
func (f folders) Len() int       { return len(f.files) }
func (f folders) Digest() string { return strings.Join(f.files, "\n") } // a real one hashes the pictures

func (f folders) Record(i int) (data.Record, error) {
	caption := strings.ReplaceAll(filepath.Base(filepath.Dir(f.files[i])), "_", " ")
	return data.Record{ID: f.files[i], ImageID: int32(i), Captions: []string{caption}}, nil
}

func (f folders) Image(i int) (*adapters.Tensor, error) {
	return data.ReadPicture(filepath.Join(f.root, f.files[i]), f.spec)
}

// writeRed writes a picture.
func writeRed(path string) {
	red := image.NewRGBA(image.Rect(0, 0, 8, 8))
	draw.Draw(red, red.Bounds(), image.NewUniform(color.RGBA{R: 200, A: 255}), image.Point{}, draw.Src)
	f, err := os.Create(path)
	if err != nil {
		log.Fatal(err)
	}
	if err := errors.Join(png.Encode(f, red), f.Close()); err != nil {
		log.Fatal(err)
	}
}

// A data format is a type with the methods of [data.Dataset].
func ExampleDataset() {
	root, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(root)
	if err := os.MkdirAll(filepath.Join(root, "a_red_square"), 0o755); err != nil {
		log.Fatal(err)
	}
	writeRed(filepath.Join(root, "a_red_square", "1.png"))

	var d data.Dataset = folders{root: root, files: []string{"a_red_square/1.png"},
		spec: adapters.ImageSpec{Width: 2, Height: 2, Resample: adapters.Bicubic, Mode: adapters.Squash}}
	picture, err := d.Image(0)
	if err != nil {
		log.Fatal(err)
	}
	record, err := d.Record(0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(record.Captions[0], picture.Describe())
	// Output: a red square uint8[2, 2, 3]
}
