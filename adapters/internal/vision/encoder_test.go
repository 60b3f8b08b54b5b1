package vision_test

import (
	"context"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/internal/vision/visiontest"
	"github.com/modular-bridging/bridge/adapters/vit"
)

// What holds for every family is tested on CLIP's.
const clip = "../../../adapters/vit/testdata/golden-quick-gelu/checkpoint"

func open(t *testing.T) adapters.VisionEncoder {
	t.Helper()
	return visiontest.Open(t, vit.Family(), &adapters.LoadRequest{Checkpoint: clip})
}

func pictures(n, side int) *adapters.Tensor { return visiontest.Pictures(n, side, side) }

func distance(a, b []float32) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	var most float64
	for i := range a {
		if d := math.Abs(float64(a[i]) - float64(b[i])); !(d <= most) {
			most = d
		}
	}
	return most
}

// TestBatches holds that a picture's features do not depend on what else is in
// the batch, through chunks and padding.
func TestBatches(t *testing.T) {
	e := open(t)
	const most = 64     // pictures at once
	const n = most + 11 // 64 + 8 + 3, padded to 4
	images := pictures(n, 24)
	all := visiontest.Encode(t, e, images)
	row := len(all) / n
	for _, i := range []int{0, 1, most - 1, most, most + 7, n - 1} {
		if d := distance(visiontest.Encode(t, e, images.Slice(i, i+1)), all[i*row:(i+1)*row]); !(d <= 1e-5) {
			t.Errorf("picture %d differs by %g alone and in a batch", i, d)
		}
	}
}

func TestConcurrent(t *testing.T) {
	e := open(t)
	images := pictures(3, 24)
	want := visiontest.Encode(t, e, images)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			response, err := e.Encode(t.Context(), &adapters.EncodeRequest{Images: images})
			if err != nil {
				t.Error(err)
				return
			}
			if d := distance(response.Features.Float32s(), want); d != 0 {
				t.Errorf("features differ by %g between goroutines", d)
			}
		})
	}
	wg.Wait()
}

func TestEncodeErrors(t *testing.T) {
	e := open(t)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name   string
		ctx    context.Context
		images *adapters.Tensor
		kind   adapters.Kind
	}{
		{"size", t.Context(), pictures(1, 16), adapters.Invalid},
		{"none", t.Context(), pictures(0, 24), adapters.Invalid},
		{"missing", t.Context(), nil, adapters.Invalid},
		{"type", t.Context(), adapters.NewTensor(adapters.Float32, 1, 24, 24, 3), adapters.Invalid},
		{"canceled", canceled, pictures(1, 24), adapters.Canceled},
	}
	for _, test := range tests {
		_, err := e.Encode(test.ctx, &adapters.EncodeRequest{Images: test.images})
		if adapters.KindOf(err) != test.kind {
			t.Errorf("%s: error %v, want kind %s", test.name, err, test.kind)
		}
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	_, err := e.Encode(t.Context(), &adapters.EncodeRequest{Images: pictures(1, 24)})
	if adapters.KindOf(err) != adapters.Invalid || !strings.Contains(err.Error(), "is closed") {
		t.Errorf("error %v after Close, want that the encoder is closed", err)
	}
}

// TestDamagedWeights cuts and extends the weight file.
func TestDamagedWeights(t *testing.T) {
	dir := visiontest.Edited(t, clip, visiontest.Edit{})
	path := filepath.Join(dir, "model.safetensors")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lying := append(binary.LittleEndian.AppendUint64(nil, 1<<40), whole[8:]...)
	for name, data := range map[string][]byte{"cut": whole[:len(whole)-1], "cut header": whole[:100], "longer": append(whole[:len(whole):len(whole)], 0), "lying": lying} {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := vit.Family().OpenVision(t.Context(), &adapters.LoadRequest{Checkpoint: dir, Backend: "go"})
		if adapters.KindOf(err) != adapters.Corrupt || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want a corrupt file", name, err)
		}
	}
}

func TestProgress(t *testing.T) {
	var stages []string
	var last adapters.Progress
	visiontest.Open(t, vit.Family(), &adapters.LoadRequest{Checkpoint: clip, Progress: func(p adapters.Progress) {
		stages, last = append(stages, p.Stage), p
	}})
	if len(stages) == 0 || last.Stage != "weights" || last.Done != last.Total || last.Total == 0 {
		t.Errorf("last of %d reports is %+v, want all of the weights", len(stages), last)
	}
}
