// Command scenes streams the kit's scenes to the Python scripts in tools/kit, so that these
// need no grammar and no renderer.
//
//	scenes -seed 1 -split train text       JSON lines: scene, caption, tags, questions
//	scenes -seed 1 -split train pictures   binary frames: scene, pixels, labels
//
// A frame is a little-endian uint32 n, then n bytes of JSON (a line of the text mode with the
// style added), then uint8[64, 64, 3] pixels, then uint8[64, 64] labels. The stream is endless
// unless -n is given. If the reader closes the pipe, the command ends without an error.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"syscall"

	"github.com/modular-bridging/bridge/kit/scene"
)

// record is the JSON of one scene.
type record struct {
	Scene     scene.Scene `json:"scene"`
	Caption   string      `json:"caption"`
	Tags      [][]string  `json:"tags"`
	Questions []scene.QA  `json:"questions"`
	Style     string      `json:"style,omitempty"`
}

func main() {
	seed := flag.Uint64("seed", 1, "seed of the sequence")
	split := flag.String("split", "train", "train or held-out")
	n := flag.Int("n", 0, "number of scenes, 0 for an endless stream")
	rounds := flag.Int("rounds", 1, "number of questions of each kind")
	flag.Parse()
	if err := run(os.Stdout, flag.Arg(0), *split, *seed, *n, *rounds); err != nil && !errors.Is(err, syscall.EPIPE) {
		fmt.Fprintln(os.Stderr, "scenes:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, mode, splitName string, seed uint64, n, rounds int) error {
	split, ok := map[string]scene.Split{"train": scene.Train, "held-out": scene.HeldOut}[splitName]
	if !ok {
		return fmt.Errorf("split: got %q, want train or held-out", splitName)
	}
	renderer, err := scene.NewRenderer()
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(out, 1<<18)
	sampler := scene.NewSampler(seed, split)
	for i := 0; n == 0 || i < n; i++ {
		s := sampler.Next()
		rec := record{Scene: s, Caption: s.Caption(), Tags: s.Tags()}
		for range rounds {
			rec.Questions = append(rec.Questions, s.Questions(sampler.Rand())...)
		}
		switch mode {
		case "text":
			err = json.NewEncoder(buffered).Encode(rec)
		case "pictures":
			err = writeFrame(buffered, renderer, rec, sampler.Rand())
		default:
			err = fmt.Errorf("mode: got %q, want text or pictures", mode)
		}
		if err != nil {
			return err
		}
	}
	return buffered.Flush()
}

// writeFrame renders the scene in a random style and writes one binary frame.
func writeFrame(w io.Writer, renderer *scene.Renderer, rec record, rng *rand.Rand) error {
	style := scene.Style(rng.IntN(scene.StyleCount))
	picture := renderer.Render(rec.Scene, style, rng.Uint64())
	rec.Style = style.String()
	header, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	var size [4]byte
	binary.LittleEndian.PutUint32(size[:], uint32(len(header)))
	for _, part := range [][]byte{size[:], header, picture.Pix, picture.Labels} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}
