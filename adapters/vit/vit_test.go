package vit

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/golden"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/checkpoint"
)

const quick = "testdata/golden-quick-gelu"

func open(t *testing.T, req *adapters.LoadRequest) adapters.VisionEncoder {
	t.Helper()
	req.Backend = backends.TestName()
	e, err := Open(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestGolden(t *testing.T) {
	dirs, err := golden.Dirs("testdata")
	if err != nil || len(dirs) != 3 {
		t.Fatalf("golden folders %v, %v, want 3", dirs, err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			f, err := golden.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			results, err := golden.Run(t.Context(), f, golden.Vision(open(t, f.LoadRequest(""))))
			if err != nil {
				t.Fatal(err)
			}
			var table strings.Builder
			if err := golden.WriteTable(&table, results); err != nil {
				t.Fatal(err)
			}
			t.Log("\n" + table.String())
			if !golden.OK(results) {
				t.Errorf("cases of %s miss", f.Source)
			}
		})
	}
}

func TestSpec(t *testing.T) {
	layer := -1
	got := open(t, &adapters.LoadRequest{Checkpoint: quick + "/checkpoint", ID: "clip", FeatureLayer: &layer}).Spec()
	if !strings.HasPrefix(got.Digest, "sha256:") {
		t.Errorf("digest is %q, want sha256:…", got.Digest)
	}
	got.Digest = ""
	want := adapters.VisionSpec{
		Spec: adapters.Spec{
			ID: "clip", Family: "vit", Kind: adapters.KindVision, Width: 32, DType: adapters.Float32,
			Parameters: 32201 - 9, MemoryBytes: 4 * (32201 - 9), Backend: backends.TestName(), Source: quick + "/checkpoint",
		},
		Tokens: 10, Layer: -1,
		Image: adapters.ImageSpec{Width: 24, Height: 24, Resample: "bicubic", Mode: "shortest-edge-crop",
			Mean: [3]float32{0.48145466, 0.4578275, 0.40821073}, Std: [3]float32{0.26862954, 0.26130258, 0.27577711}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("spec is\n%+v, want\n%+v", got, want)
	}
	squashed := open(t, &adapters.LoadRequest{Checkpoint: "testdata/golden-bfloat16/checkpoint"}).Spec()
	if squashed.Image.Mode != "squash" || squashed.ID != "checkpoint" || squashed.Layer != -2 {
		t.Errorf("mode, id, layer are %s, %s, %d, want squash, checkpoint, -2", squashed.Image.Mode, squashed.ID, squashed.Layer)
	}
}

func pictures(n, side int) *adapters.Tensor {
	images := adapters.NewTensor(adapters.Uint8, n, side, side, 3)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range images.Data {
		images.Data[i] = byte(rng.Uint32())
	}
	return images
}

func encode(t *testing.T, e adapters.VisionEncoder, images *adapters.Tensor) []float32 {
	t.Helper()
	response, err := e.Encode(t.Context(), &adapters.EncodeRequest{Images: images})
	if err != nil {
		t.Fatal(err)
	}
	values, err := response.Features.ToFloat32()
	if err != nil {
		t.Fatal(err)
	}
	return values
}

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
	e := open(t, &adapters.LoadRequest{Checkpoint: quick + "/checkpoint"})
	const n = maxBatch + 11 // 64 + 8 + 3, padded to 4
	images := pictures(n, 24)
	all := encode(t, e, images)
	row := len(all) / n
	for _, i := range []int{0, 1, maxBatch - 1, maxBatch, maxBatch + 7, n - 1} {
		if d := distance(encode(t, e, images.Slice(i, i+1)), all[i*row:(i+1)*row]); !(d <= 1e-5) {
			t.Errorf("picture %d differs by %g alone and in a batch", i, d)
		}
	}
}

func TestNextBatch(t *testing.T) {
	sizes := map[int]bool{}
	for n := 1; n <= 3*maxBatch; n++ {
		take, batch := nextBatch(n)
		if take < 1 || take > n || batch < take || 3*batch > 4*take {
			t.Errorf("nextBatch(%d) = %d in %d", n, take, batch)
		}
		sizes[batch] = true
	}
	if len(sizes) > 8 {
		t.Errorf("%d batch sizes, each a compiled graph, want at most 8", len(sizes))
	}
}

func TestBFloat16(t *testing.T) {
	images := pictures(2, 24)
	exact := encode(t, open(t, &adapters.LoadRequest{Checkpoint: quick + "/checkpoint"}), images)
	e := open(t, &adapters.LoadRequest{Checkpoint: quick + "/checkpoint", DType: adapters.BFloat16})
	response, err := e.Encode(t.Context(), &adapters.EncodeRequest{Images: images})
	if err != nil {
		t.Fatal(err)
	}
	if response.Features.DType != adapters.BFloat16 {
		t.Errorf("features are %s, want bfloat16", response.Features.Describe())
	}
	rough, err := response.Features.ToFloat32()
	if err != nil {
		t.Fatal(err)
	}
	if d := distance(rough, exact); !(d > 0 && d <= 0.25) {
		t.Errorf("bfloat16 differs by %g, want a little", d)
	}
}

func TestConcurrent(t *testing.T) {
	e := open(t, &adapters.LoadRequest{Checkpoint: quick + "/checkpoint"})
	images := pictures(3, 24)
	want := encode(t, e, images)
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
	e := open(t, &adapters.LoadRequest{Checkpoint: quick + "/checkpoint"})
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

// edit copies the quick-gelu checkpoint and lets change alter a JSON file of
// it.
func edit(t *testing.T, file string, change func(map[string]any)) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(quick+"/checkpoint")); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	change(m)
	data, err = json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, file), data, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestOpenErrors(t *testing.T) {
	const model, images = "config.json", "preprocessor_config.json"
	tests := []struct {
		file, key string
		value     any
		kind      adapters.Kind
		part      string
	}{
		{model, "model_type", "siglip_vision_model", adapters.Unsupported, `model_type is "siglip_vision_model", family vit reads`},
		{model, "hidden_act", "tanh", adapters.Unsupported, `hidden_act is "tanh", want one of`},
		{model, "hidden_size", "32", adapters.Corrupt, "hidden_size is a string, want int"},
		{model, "hidden_size", 0, adapters.Unsupported, "hidden_size is 0, want a positive number"},
		{model, "hidden_size", 48, adapters.Corrupt, "[32], want [48]"},
		{model, "num_attention_heads", 5, adapters.Unsupported, "not a multiple of num_attention_heads 5"},
		{model, "num_channels", 1, adapters.Unsupported, "num_channels is 1, want 3"},
		{model, "patch_size", 7, adapters.Unsupported, "image_size 24 is not a multiple of patch_size 7"},
		{model, "image_size", 32, adapters.Unsupported, "the model's image_size is 32"},
		{model, "layer_norm_eps", 0, adapters.Unsupported, "layer_norm_eps is 0"},
		{model, "num_hidden_layers", 4, adapters.Corrupt, "encoder.layers.3.self_attn.q_proj.weight is missing, want [32, 32]"},
		{model, "num_hidden_layers", 2, adapters.Corrupt, "vision_model.encoder.layers.2.layer_norm1.bias F32[32] is not part of the model"},
		{images, "crop_size", map[string]int{"height": 32, "width": 32}, adapters.Unsupported, "the model's image_size is 24"},
		{images, "do_center_crop", false, adapters.Unsupported, "shortest edge but not cropped"},
		{images, "resample", 1, adapters.Unsupported, "resample is 1"},
		{images, "rescale_factor", 1, adapters.Unsupported, "want 1/255"},
		{images, "image_mean", []float64{0.5}, adapters.Unsupported, "want 3 numbers each"},
		{images, "image_std", []float64{1, 0, 1}, adapters.Unsupported, "want positive numbers"},
	}
	for _, test := range tests {
		t.Run(test.key, func(t *testing.T) {
			dir := edit(t, test.file, func(m map[string]any) { m[test.key] = test.value })
			wantOpenError(t, dir, test.kind, test.part)
		})
	}
	t.Run("positions", func(t *testing.T) {
		dir := edit(t, model, func(m map[string]any) { m["image_size"] = 32 })
		if err := os.Remove(filepath.Join(dir, images)); err != nil {
			t.Fatal(err)
		}
		wantOpenError(t, dir, adapters.Unsupported, "has 10 positions, but image_size 32 in patches of 8 needs 17")
	})
	t.Run("layer", func(t *testing.T) {
		for _, layer := range []int{-5, 4} {
			_, err := Open(t.Context(), &adapters.LoadRequest{Checkpoint: quick + "/checkpoint", FeatureLayer: &layer})
			if adapters.KindOf(err) != adapters.Invalid {
				t.Errorf("layer %d: error %v, want kind invalid", layer, err)
			}
		}
	})
}

func wantOpenError(t *testing.T, dir string, kind adapters.Kind, part string) {
	t.Helper()
	_, err := Open(t.Context(), &adapters.LoadRequest{Checkpoint: dir, Backend: "go"})
	if adapters.KindOf(err) != kind || !strings.Contains(err.Error(), part) {
		t.Errorf("error %v, want one of kind %s that says %q", err, kind, part)
	}
}

// TestDamagedWeights cuts and extends the weight file, and adds, drops and
// renames tensors.
func TestDamagedWeights(t *testing.T) {
	const class = "vision_model.embeddings.class_embedding"
	tensors, _, err := checkpoint.ReadFile(quick + "/checkpoint/model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	damage := func(change func(map[string]*adapters.Tensor)) string {
		dir := edit(t, "config.json", func(map[string]any) {})
		changed := map[string]*adapters.Tensor{}
		for name, tensor := range tensors {
			changed[name] = tensor
		}
		change(changed)
		if err := checkpoint.Write(filepath.Join(dir, "model.safetensors"), changed, nil); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	wantOpenError(t, damage(func(m map[string]*adapters.Tensor) { delete(m, class) }), adapters.Corrupt, "embeddings.class_embedding is missing, want [32]")
	wantOpenError(t, damage(func(m map[string]*adapters.Tensor) { m["head.weight"] = m[class] }), adapters.Corrupt, "head.weight F32[32] is not part of the model")
	wantOpenError(t, damage(func(m map[string]*adapters.Tensor) { m["text_model.x"] = m[class] }), adapters.Corrupt, "text_model.x F32[32] is not part of the model")
	wantOpenError(t, damage(func(m map[string]*adapters.Tensor) { m[class] = m[class].Slice(0, 31) }), adapters.Corrupt, class+" is F32[31], want [32]")

	dir := damage(func(map[string]*adapters.Tensor) {})
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
		t.Run(name, func(t *testing.T) { wantOpenError(t, dir, adapters.Corrupt, path) })
	}
}

func TestProgress(t *testing.T) {
	var stages []string
	var last adapters.Progress
	open(t, &adapters.LoadRequest{Checkpoint: quick + "/checkpoint", Progress: func(p adapters.Progress) {
		stages, last = append(stages, p.Stage), p
	}})
	if len(stages) == 0 || last.Stage != "weights" || last.Done != last.Total || last.Total == 0 {
		t.Errorf("last of %d reports is %+v, want all of the weights", len(stages), last)
	}
}
