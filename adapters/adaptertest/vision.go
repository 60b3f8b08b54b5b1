package adaptertest

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
)

// TestVision runs the cases of [Vision]. open returns an encoder that is ready,
// as often as it is called; the suite closes it.
func TestVision(t *testing.T, open func() adapters.VisionEncoder) {
	test(t, Vision(Options{}), open)
}

// Vision lists the cases of vision encoders.
func Vision(o Options) []Case[adapters.VisionEncoder] {
	var cases []Case[adapters.VisionEncoder]
	add := func(info Info, run func(v *visionCases, t T)) {
		calls := []string{PlainEncode}
		if info.Name == PlainEncode || info.Name == "spec, loaded again" {
			calls = nil
		}
		cases = append(cases, Case[adapters.VisionEncoder]{info, calls, func(t T, s Subject[adapters.VisionEncoder]) {
			spec := s.Model.Spec()
			run(&visionCases{m: s.Model, spec: spec, o: o.withDefaults(spec.DType, 0), another: s.Another}, t)
		}})
	}
	add(Info{PlainEncode, "the encoder answers the simplest call, an encode of one picture",
		ruleNumbers, fixPlain}, func(v *visionCases, t T) { v.encode(t, pictures(v.spec, 1)) })
	add(Info{"spec", "the spec is true and does not change: an id, a family, a digest of the weights, positive numbers",
		ruleSpec, "fill in every field of the spec once from the checkpoint, when the model is opened"}, (*visionCases).testSpec)
	add(Info{"spec, loaded again", "the same checkpoint has the same spec and digest each time it is loaded",
		ruleSpec, "hash the bytes of the weights in a fixed order; leave out times, paths and the order of a map"}, (*visionCases).testSpecAgain)
	add(Info{"features", "features are float32 or bfloat16 [B, N, D] with N and D of the spec, finite, and depend on the picture",
		ruleNumbers, "count the class token and registers in the spec's tokens; check that the pictures reach the network and that pixels are scaled by 1/255"}, (*visionCases).testFeatures)
	add(Info{"deterministic", "the same pictures give the same features, bit for bit",
		ruleCalls, "switch dropout and training mode off, and use no random numbers"}, (*visionCases).testDeterministic)
	add(Info{"alone as in a batch", "alone or in any batch, a picture has the same features within tolerance",
		ruleNumbers, "do not normalise or average over the batch; remove padding from the result"}, (*visionCases).testAlone)
	add(Info{"request unchanged", "the request belongs to the caller, and no call writes to it",
		ruleCalls, "copy the pictures before normalising them in place"}, (*visionCases).testUnchanged)
	add(Info{"response is the caller's", "the response belongs to the caller, who may write to it",
		ruleCalls, "make a new tensor for each answer; do not return a buffer that you use again"}, (*visionCases).testOwned)
	add(Info{"many pictures", "a batch of 64 gives the same features as small batches (16 if one picture takes long)",
		ruleNumbers, "split large batches into parts that fit in memory, and join the answers in order"}, (*visionCases).testMany)
	add(Info{"plain pictures", "black, white and one-coloured pictures have finite features",
		ruleNumbers, "add the usual epsilon in norms that divide by a standard deviation"}, (*visionCases).testPlain)
	add(Info{"refused", "a request that breaks the contract is refused with kind invalid: no pictures, another size, dtype or number of bytes",
		ruleRefusals, "call req.Check(spec) (Go), or let the SDK check, before you compute"}, (*visionCases).testRefused)
	add(Info{"canceled", "a call whose context has ended returns kind canceled, and the model keeps working",
		ruleCalls, "check the context before each part of the work"}, (*visionCases).testCanceled)
	add(Info{"canceled at work", "a call that is given up while it works ends soon, and the model keeps working",
		ruleCalls, "check the context (Python: context.cancelled) between batches"}, (*visionCases).testCanceledAtWork)
	add(Info{"at once", "calls from several goroutines give the same results as each call alone",
		ruleCalls, "queue the calls for the model: a lock around the computation is enough"}, (*visionCases).testAtOnce)
	add(Info{"closed", "close frees the model, and a second close does nothing; a call after it fails",
		ruleCalls, "keep a closed flag, and check it in every method"}, (*visionCases).testClosed)
	return cases
}

// visionCases has what the cases of one encoder share.
type visionCases struct {
	m       adapters.VisionEncoder
	spec    adapters.VisionSpec
	o       Options
	another func(context.Context) (adapters.VisionEncoder, error)
}

// pictures returns noise, the same for the same n.
func pictures(spec adapters.VisionSpec, n int) *adapters.Tensor {
	images := adapters.NewTensor(adapters.Uint8, n, spec.Image.Height, spec.Image.Width, 3)
	rng := rand.New(rand.NewPCG(7, 7))
	for i := range images.Data {
		images.Data[i] = byte(rng.Uint32())
	}
	return images
}

func (v *visionCases) encode(t T, images *adapters.Tensor) *adapters.EncodeResponse {
	t.Helper()
	req := &adapters.EncodeRequest{Images: images}
	resp, err := v.m.Encode(t.Context(), req)
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	if err := resp.Check(v.spec, req); err != nil {
		t.Fatalf("encode: %v", err)
	}
	return resp
}

func (v *visionCases) testSpec(t T) {
	testSpec(t, v.spec.Spec, adapters.KindVision)
	v.encode(t, pictures(v.spec, 1))
	if again := v.m.Spec(); !reflect.DeepEqual(again, v.spec) {
		t.Errorf("spec changed from %+v to %+v", v.spec, again)
	}
	image := v.spec.Image
	if v.spec.Tokens <= 0 || image.Width <= 0 || image.Height <= 0 {
		t.Errorf("spec has %d tokens of pictures of %d by %d pixels, want positive numbers", v.spec.Tokens, image.Width, image.Height)
	}
	if p := v.spec.Patch; p < 0 || p > 0 && v.spec.Tokens < (image.Width/p)*(image.Height/p) {
		t.Errorf("spec has %d tokens; patches of %d pixels of a picture of %d by %d are more", v.spec.Tokens, p, image.Width, image.Height)
	}
	if resamples := []string{adapters.Bicubic, adapters.Bilinear, adapters.Nearest}; !slices.Contains(resamples, image.Resample) {
		t.Errorf("pictures are resampled by %q, want one of %q", image.Resample, resamples)
	}
	if modes := []string{adapters.Squash, adapters.ShortestEdgeCrop}; !slices.Contains(modes, image.Mode) {
		t.Errorf("pictures are made to fit by %q, want one of %q", image.Mode, modes)
	}
	for c, std := range image.Std {
		if !(std > 0) || !finite(std) || !finite(image.Mean[c]) {
			t.Errorf("channel %d has mean %g and standard deviation %g", c, image.Mean[c], std)
		}
	}
}

func (v *visionCases) testSpecAgain(t T) {
	other, err := v.another(t.Context())
	if err != nil {
		t.Fatalf("opening the checkpoint again: %v", err)
	}
	defer other.Close()
	if again := other.Spec(); !reflect.DeepEqual(again, v.spec) {
		t.Errorf("loaded again, the spec is %+v, it was %+v", again, v.spec)
	}
}

func (v *visionCases) testFeatures(t T) {
	f := values(t, "features", v.encode(t, pictures(v.spec, 3)).Features)
	if n := len(f) / 3; slices.Equal(f[:n], f[n:2*n]) {
		t.Errorf("two pictures have the same features")
	}
}

// testRepeat encodes the same pictures and compares the features bit by bit.
func (v *visionCases) testRepeat(t T, images *adapters.Tensor, want *adapters.EncodeResponse) {
	t.Helper()
	wantSame(t, "features of the same pictures", v.encode(t, images).Features, want.Features)
}

func (v *visionCases) testDeterministic(t T) {
	images := pictures(v.spec, 3)
	v.testRepeat(t, images, v.encode(t, images))
}

func (v *visionCases) testAlone(t T) {
	images := pictures(v.spec, 3)
	whole := v.encode(t, images)
	for i := range images.Shape[0] {
		wantClose(t, "features of a picture alone", values(t, "alone", v.encode(t, images.Slice(i, i+1)).Features),
			values(t, "batch", whole.Features.Slice(i, i+1)), v.o.Tolerance)
	}
}

func (v *visionCases) testUnchanged(t T) {
	images := pictures(v.spec, 3)
	v.encode(t, images)
	wantSame(t, "images after encode", images, pictures(v.spec, 3))
}

func (v *visionCases) testOwned(t T) {
	images := pictures(v.spec, 2)
	mine := v.encode(t, images)
	want := &adapters.EncodeResponse{Features: adapters.NewTensor(mine.Features.DType, mine.Features.Shape...)}
	copy(want.Features.Data, mine.Features.Data)
	clear(mine.Features.Data)
	v.testRepeat(t, images, want)
}

func (v *visionCases) testMany(t T) {
	n := many(func() { v.encode(t, pictures(v.spec, 1)) })
	images := pictures(v.spec, n)
	whole := v.encode(t, images)
	for _, i := range []int{0, n / 2, n - 1} {
		wantClose(t, "features of a picture of many", values(t, "batch", whole.Features.Slice(i, i+1)),
			values(t, "alone", v.encode(t, images.Slice(i, i+1)).Features), v.o.Tolerance)
	}
}

func (v *visionCases) testPlain(t T) {
	images := adapters.NewTensor(adapters.Uint8, 3, v.spec.Image.Height, v.spec.Image.Width, 3) // the first is black
	for i := range images.Row(1).Data {
		images.Row(1).Data[i], images.Row(2).Data[i] = 255, byte(i%3*100)
	}
	values(t, "features of plain pictures", v.encode(t, images).Features)
}

func (v *visionCases) testRefused(t T) {
	h, w := v.spec.Image.Height, v.spec.Image.Width
	for name, images := range map[string]*adapters.Tensor{
		"no images":     nil,
		"empty batch":   adapters.NewTensor(adapters.Uint8, 0, h, w, 3),
		"wrong size":    adapters.NewTensor(adapters.Uint8, 1, h+1, w, 3),
		"wrong dtype":   adapters.NewTensor(adapters.Float32, 1, h, w, 3),
		"one channel":   adapters.NewTensor(adapters.Uint8, 1, h, w, 1),
		"missing bytes": {DType: adapters.Uint8, Shape: []int{1, h, w, 3}, Data: make([]byte, h*w*3-1)},
	} {
		_, err := v.m.Encode(t.Context(), &adapters.EncodeRequest{Images: images})
		wantKind(t, name, err, adapters.Invalid)
	}
}

func (v *visionCases) testCanceled(t T) {
	images := pictures(v.spec, 3)
	whole := v.encode(t, images)
	wantCanceled(t, v.o.Wait, "encode", func(ctx context.Context) error {
		_, err := v.m.Encode(ctx, &adapters.EncodeRequest{Images: images})
		return err
	})
	v.testRepeat(t, images, whole)
}

func (v *visionCases) testCanceledAtWork(t T) {
	images := pictures(v.spec, 3)
	began := time.Now()
	whole := v.encode(t, images)
	small := time.Since(began)
	large := pictures(v.spec, many(func() { v.encode(t, pictures(v.spec, 1)) }))
	canceledSoon(t, v.o.Wait, small, "encode", func(ctx context.Context, _ context.CancelFunc) error {
		_, err := v.m.Encode(ctx, &adapters.EncodeRequest{Images: large})
		return err
	})
	err := endsWithin(t, "encode after a canceled call", v.o.Wait, func() error {
		_, err := v.m.Encode(t.Context(), &adapters.EncodeRequest{Images: images})
		return err
	})
	if err != nil {
		t.Fatalf("encode after a canceled call: %v", err)
	}
	v.testRepeat(t, images, whole)
}

func (v *visionCases) testAtOnce(t T) {
	images := pictures(v.spec, 3)
	whole := v.encode(t, images)
	atOnce(t, v.o.Wait, func(int) error {
		got, err := v.m.Encode(t.Context(), &adapters.EncodeRequest{Images: images})
		if err == nil && !slices.Equal(got.Features.Data, whole.Features.Data) {
			err = errors.New("features differ from those of a call alone")
		}
		return err
	})
}

func (v *visionCases) testClosed(t T) {
	other, err := v.another(t.Context())
	if err != nil {
		t.Fatalf("opening the checkpoint again: %v", err)
	}
	testClose(t, v.o.Wait, other, func() error {
		_, err := other.Encode(t.Context(), &adapters.EncodeRequest{Images: pictures(v.spec, 1)})
		return err
	})
}
