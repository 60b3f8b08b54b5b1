package benchmark_test

import (
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/eva"
	"github.com/modular-bridging/bridge/adapters/opt"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/eval/benchmark"
	"github.com/modular-bridging/bridge/eval/tasks"
	"github.com/modular-bridging/bridge/internal/backends"
)

// openModel opens the small BLIP-2 that package eval is compared with PyTorch on.
func openModel(t *testing.T) *bridge.Model {
	t.Helper()
	language := opt.Family()
	return openFolder(t, filepath.Join("..", "testdata", "blip2-opt"), &language)
}

// openFolder opens a whole BLIP-2 that transformers saved, which may have no language model.
func openFolder(t *testing.T, dir string, language *adapters.Family) *bridge.Model {
	t.Helper()
	b, err := bridge.Load(t.Context(), backends.ForTest(t), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	load := &adapters.LoadRequest{Checkpoint: dir, Backend: backends.TestName(), DType: adapters.Float32}
	m := &bridge.Model{Bridge: b}
	if m.Vision, err = eva.Family().OpenVision(t.Context(), load); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Vision.Close() })
	if language == nil {
		return m
	}
	if m.Language, err = language.OpenLanguage(t.Context(), load); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Language.Close() })
	return m
}

// pictures is the number of pictures that writeData draws.
const pictures = 20

// writeData writes pictures, and files of questions, annotations, captions and retrieval about them.
func writeData(t *testing.T) string {
	t.Helper()
	dir, rng := t.TempDir(), rand.New(rand.NewPCG(1, 2))
	write := func(name string, v any) {
		data, err := json.Marshal(v)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	type m = map[string]any
	var questions, annotations, images, captions, pairs []m
	words := []string{"red", "a dog", "two", "on the left", "yes"}
	for i := range pictures {
		name := fmt.Sprintf("toy_val_%012d.png", i)
		drawPicture(t, filepath.Join(dir, name), rng)
		images = append(images, m{"id": i, "file_name": name})
		pairs = append(pairs, m{"image": name, "caption": []string{fmt.Sprintf("picture %d", i), "a thing of " + words[i%5]}})
		for k := range 2 {
			captions = append(captions, m{"id": 2*i + k, "image_id": i, "caption": words[(i+k)%5] + " is here"})
			question := "what is it" + strings.Repeat(" now", rng.IntN(6)) + "?"
			questions = append(questions, m{"question_id": 2*i + k, "image_id": i, "question": question})
			var answers []m
			for a := range 10 {
				answers = append(answers, m{"answer": words[(i+a/4)%5], "answer_id": a + 1})
			}
			annotations = append(annotations, m{"question_id": 2*i + k, "image_id": i, "answers": answers, "answer_type": []string{"number", "other"}[k], "question_type": "what"})
		}
	}
	head := m{"data_type": "toy", "data_subtype": "val", "questions": questions}
	write("questions.json", head)
	write("annotations.json", m{"annotations": annotations})
	write("captions.json", m{"images": images, "annotations": captions})
	write("retrieval.json", pairs)
	return dir
}

// drawPicture writes a picture of two colours.
func drawPicture(t *testing.T, path string, rng *rand.Rand) {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 24, 24))
	a, b := color.RGBA{uint8(rng.IntN(256)), uint8(rng.IntN(256)), uint8(rng.IntN(256)), 255}, color.RGBA{uint8(rng.IntN(256)), uint8(rng.IntN(256)), uint8(rng.IntN(256)), 255}
	edge := 4 + rng.IntN(16)
	for y := range 24 {
		for x := range 24 {
			if img.Set(x, y, a); x > edge {
				img.Set(x, y, b)
			}
		}
	}
	f, err := os.Create(path)
	if err == nil {
		err = png.Encode(f, img)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The tasks of the tests.
const (
	vqaTask = `name = "toy"
title = "toy questions"
version = 1
[data]
format = "vqav2"
pictures = ["."]
expect = 40
[data.files]
questions = ["questions.json"]
annotations = ["annotations.json"]
[prompt]
default = "Question: {question} Answer:"
[generate]
beams = 2
max_new_tokens = 4
[metric]
name = "vqa"
variant = "lavis"
by = ["answer_type"]
`
	captionTask = `name = "toy"
title = "toy captions"
version = 1
[data]
format = "coco"
pictures = ["."]
[data.files]
captions = ["captions.json"]
[prompt]
default = "a photo of"
[generate]
max_new_tokens = 4
[metric]
name = "captions"
`
	retrievalTask = `name = "toy"
title = "toy retrieval"
version = 1
[data]
format = "retrieval"
pictures = ["."]
[data.files]
captions = ["retrieval.json"]
[retrieve]
rerank = 4
language = "a photo of"
[metric]
name = "retrieval"
`
)

// openSet opens the samples of a task.
func openSet(t *testing.T, text, dir string) *tasks.Set {
	t.Helper()
	task, err := tasks.Parse("toy.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return openTask(t, task, dir)
}

// openTask opens the samples of a task, whose files are in a folder.
func openTask(t *testing.T, task *tasks.Task, dir string) *tasks.Set {
	t.Helper()
	files, err := task.Locate(t.Context(), tasks.Places{Data: []string{dir}})
	if err != nil {
		t.Fatal(err)
	}
	set, err := tasks.Open(task, files)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close() })
	return set
}

// options are those of the tests, in a folder.
func options(m *bridge.Model, dir string) benchmark.Options {
	return benchmark.Options{Dir: dir, Batch: 4, Model: benchmark.Describe("toy", "sha256:toy", m), Backend: "test"}
}

func mustRun(t *testing.T, m *bridge.Model, set *tasks.Set, o benchmark.Options) *benchmark.Result {
	t.Helper()
	r, err := benchmark.Run(t.Context(), m, set, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var seconds = regexp.MustCompile(`"(seconds|samples_per_second)": ?[0-9.e+-]+`)

// content returns a file of a folder without times.
func content(t *testing.T, dir, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return seconds.ReplaceAllString(string(data), "")
}
