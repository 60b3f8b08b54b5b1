package lmtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/backends"
)

// Contract runs what golden cases cannot show on a model of a golden folder:
// streaming, chunks, concurrency, the optional capabilities, refusals.
func Contract(t *testing.T, open OpenFunc, checkpoint string) {
	model := Open(t, open, checkpoint)
	t.Run("generation", func(t *testing.T) { generation(t, model) })
	t.Run("rows", func(t *testing.T) { rows(t, model) })
	t.Run("chunks change nothing", func(t *testing.T) { chunks(t, model) })
	t.Run("requests at once", func(t *testing.T) { atOnce(t, model) })
	t.Run("token embeddings", func(t *testing.T) { tokens(t, model) })
	t.Run("refusals", func(t *testing.T) { refusals(t, model) })
	t.Run("bfloat16", func(t *testing.T) { narrow(t, open, checkpoint, model) })
	t.Run("closed", func(t *testing.T) {
		closed := Open(t, open, checkpoint)
		if err := closed.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := closed.Loss(t.Context(), request(closed, 1)); adapters.KindOf(err) != adapters.Invalid {
			t.Errorf("loss of a closed model: %v, want an invalid request", err)
		}
	})
}

// request has n examples of different lengths, each with a soft prompt.
func request(model adapters.LanguageModel, n int) *adapters.LossRequest {
	r := &adapters.LossRequest{Prompts: randomTensor(rand.New(rand.NewPCG(5, 6)), 0.5, n, 2, model.Spec().Width), Gradient: true}
	for i := range n {
		r.Examples = append(r.Examples, adapters.Example{
			Segments: []adapters.Segment{adapters.PromptSegment(i), adapters.TextSegment(strings.Repeat("a dog ", i%3))},
			Target:   strings.Repeat(" cat", i%4),
		})
	}
	return r
}

// chunks compares 70 examples, more than are computed at once, with each alone.
func chunks(t *testing.T, model adapters.LanguageModel) {
	all := request(model, 70)
	got, err := model.Loss(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 63, 64, 69} {
		one := *all
		one.Examples = all.Examples[i : i+1]
		want, err := model.Loss(t.Context(), &one)
		if err != nil {
			t.Fatal(err)
		}
		near(t, fmt.Sprintf("loss %d", i), got.Loss[i:i+1], want.Loss)
		near(t, fmt.Sprintf("gradient %d", i), got.Gradient.Row(i).Float32s(), want.Gradient.Row(i).Float32s())
	}
}

func atOnce(t *testing.T, model adapters.LanguageModel) {
	r := request(model, 3)
	want, err := model.Loss(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			got, err := model.Loss(t.Context(), r)
			if err != nil {
				t.Error(err)
				return
			}
			if !slices.Equal(got.Loss, want.Loss) || !slices.Equal(got.Gradient.Float32s(), want.Gradient.Float32s()) {
				t.Error("requests at once give other numbers than alone")
			}
		})
	}
	group.Wait()
}

// narrow compares a model computed in bfloat16 with the one in float32, where
// the backend can.
func narrow(t *testing.T, open OpenFunc, checkpoint string, model adapters.LanguageModel) {
	half, err := open(t.Context(), &adapters.LoadRequest{Checkpoint: checkpoint, Backend: backends.TestName(), DType: adapters.BFloat16})
	if model.Spec().Backend == backends.Go {
		if adapters.KindOf(err) != adapters.Unsupported {
			t.Errorf("bfloat16 on the Go backend: %v, want unsupported", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	if s := half.Spec(); s.DType != adapters.BFloat16 || 2*s.MemoryBytes != model.Spec().MemoryBytes {
		t.Errorf("spec %+v, want bfloat16 and half the bytes", s)
	}
	r := request(model, 4)
	want, err := model.Loss(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := half.Loss(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want.Loss {
		if d := math.Abs(float64(got.Loss[i] - want.Loss[i])); !(d <= 0.03*float64(want.Loss[i])) {
			t.Errorf("loss %d is %v, in float32 %v", i, got.Loss[i], want.Loss[i])
		}
	}
	var dot, a, b float64
	for i, x := range got.Gradient.Float32s() {
		y := want.Gradient.Float32s()[i]
		dot, a, b = dot+float64(x*y), a+float64(x*x), b+float64(y*y)
	}
	if cosine := dot / math.Sqrt(a*b); !(cosine > 0.99) {
		t.Errorf("the gradient's cosine with that in float32 is %v", cosine)
	}
	for _, beams := range []int{1, 2} {
		o := adapters.GenerateOptions{NumBeams: beams, MaxNewTokens: 8}
		res, err := half.Generate(t.Context(), &adapters.GenerateRequest{Prompts: r.Prompts, Examples: r.Examples, Options: o}, nil)
		if err != nil || len(res.Texts) != len(r.Examples) {
			t.Errorf("generation in bfloat16 with %d beams: %+v, %v", beams, res, err)
		}
	}
}

// DefaultDType opens a checkpoint of bfloat16 weights without a dtype in the request: they
// stay bfloat16 if the backend computes in it.
func DefaultDType(t *testing.T, open OpenFunc, checkpoint string) {
	model, err := open(t.Context(), &adapters.LoadRequest{Checkpoint: checkpoint, Backend: backends.TestName()})
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	want := adapters.BFloat16
	s := model.Spec()
	if s.Backend == backends.Go {
		want = adapters.Float32
	}
	if s.DType != want || s.MemoryBytes != int64(want.Size())*s.Parameters {
		t.Errorf("on %s the dtype is %s and the weights take %d bytes, want %s of %d parameters", s.Backend, s.DType, s.MemoryBytes, want, s.Parameters)
	}
}

func tokens(t *testing.T, model adapters.LanguageModel) {
	embedder, ok := adapters.AsTokenEmbedder(model)
	counter, counts := adapters.AsTokenCounter(model)
	if !ok || !counts {
		t.Fatal("the model neither embeds nor counts tokens")
	}
	texts := []string{"a cat", "", "a photo of a dog"}
	req := &adapters.EmbedTokensRequest{Texts: texts}
	some, err := embedder.EmbedTokens(t.Context(), req)
	if err == nil {
		err = some.Check(model.Spec(), req)
	}
	if err != nil {
		t.Fatal(err)
	}
	n, err := counter.CountTokens(t.Context(), texts)
	if err != nil || !slices.Equal(n, some.Counts) || n[1] != 0 || n[0] == 0 {
		t.Errorf("counts %v, rows %v, error %v", n, some.Counts, err)
	}
	if got := strings.TrimSpace(strings.Join(some.Surfaces[:n[0]], "")); got != "a cat" {
		t.Errorf("surfaces of %q make %q", texts[0], got)
	}
	all, err := embedder.EmbedTokens(t.Context(), &adapters.EmbedTokensRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if norm, want := float64(model.Spec().TokenNorm), meanNorm(all.Embeddings); math.Abs(norm-want) > 0.1*want { // the special tokens are not among them
		t.Errorf("the mean norm of the embeddings is %v, the spec says %v", want, norm)
	}
	for i, surface := range some.Surfaces {
		at := slices.Index(all.Surfaces, surface)
		if at < 0 || !slices.Equal(all.Embeddings.Row(at).Float32s(), some.Embeddings.Row(i).Float32s()) {
			t.Errorf("token %q has not the row that the vocabulary gives it", surface)
		}
	}
}

// meanNorm returns the mean L2 norm of rows float32[R, D].
func meanNorm(rows *adapters.Tensor) float64 {
	sum := 0.0
	for i := range rows.Shape[0] {
		squares := 0.0
		for _, x := range rows.Row(i).Float32s() {
			squares += float64(x) * float64(x)
		}
		sum += math.Sqrt(squares) / float64(rows.Shape[0])
	}
	return sum
}

func refusals(t *testing.T, model adapters.LanguageModel) {
	long := request(model, 3)
	long.Examples[2].Target = strings.Repeat("cat ", 500)
	if limit := model.Spec().ContextTokens; limit > 0 {
		_, err := model.Loss(t.Context(), long)
		if adapters.KindOf(err) != adapters.Invalid || !strings.Contains(err.Error(), fmt.Sprint(limit)) || !strings.Contains(err.Error(), "cat cat") {
			t.Errorf("a sequence over the context: %v, want an invalid request that names %d and the text", err, limit)
		}
		if e := (*adapters.Error)(nil); !errors.As(err, &e) || e.Field != "examples[2]" || len(e.Message) > 400 {
			t.Errorf("a sequence over the context: %v, want the field examples[2]", err)
		}
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := model.Loss(canceled, request(model, 1)); adapters.KindOf(err) != adapters.Canceled {
		t.Errorf("given up: %v, want canceled", err)
	}
	r := request(model, 1)
	_, err := model.Generate(t.Context(), &adapters.GenerateRequest{Prompts: r.Prompts, Examples: r.Examples,
		Options: adapters.GenerateOptions{NumBeams: 4, Sample: true}}, nil)
	if adapters.KindOf(err) != adapters.Unsupported {
		t.Errorf("sampling with beams: %v, want unsupported", err)
	}
}

func near(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d elements, want %d", what, len(got), len(want))
		return
	}
	for i := range want {
		if d := max(got[i]-want[i], want[i]-got[i]); !(d <= 1e-4+1e-4*max(want[i], -want[i])) {
			t.Errorf("%s[%d]: got %v, want %v", what, i, got[i], want[i])
			return
		}
	}
}
