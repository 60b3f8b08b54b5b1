package adaptertest

import (
	"bytes"
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
)

// Options fit the suite to a model. The zero value suits most.
type Options struct {
	// Tolerance is the largest difference, absolute and relative, between the
	// same example alone and in a batch; 0 means 1e-4.
	Tolerance float64
	// GradientTolerance is the largest relative error of the gradient along a
	// direction, against a difference quotient; 0 means 0.02.
	GradientTolerance float64
	// Epsilon is the step of that quotient; 0 means 1e-2.
	Epsilon float64
	// QueryTokens is Q of the soft prompts; 0 means 3.
	QueryTokens int
	// Texts are two texts that the model can read; nil means English.
	Texts []string
}

func (o Options) withDefaults() Options {
	if o.Tolerance == 0 {
		o.Tolerance = 1e-4
	}
	if o.GradientTolerance == 0 {
		o.GradientTolerance = 0.02
	}
	if o.Epsilon == 0 {
		o.Epsilon = 1e-2
	}
	if o.QueryTokens == 0 {
		o.QueryTokens = 3
	}
	if len(o.Texts) < 2 {
		o.Texts = []string{"a photo of", " a red dog on a green hill"}
	}
	return o
}

// testSpec holds what both kinds of spec have in common to the truth.
func testSpec(t *testing.T, s adapters.Spec, kind adapters.ModelKind) {
	t.Helper()
	if s.ID == "" || s.Family == "" || s.Digest == "" {
		t.Errorf("spec %+v: want an id, a family and a digest of the weights", s)
	}
	if s.Kind != kind || s.Width <= 0 || s.Parameters <= 0 {
		t.Errorf("spec %+v: want kind %q, a width and a number of parameters", s, kind)
	}
	if s.DType != adapters.Float32 && s.DType != adapters.BFloat16 {
		t.Errorf("spec has dtype %s, want float32 or bfloat16", s.DType)
	}
	if !slices.Equal(slices.Compact(slices.Sorted(slices.Values(s.Capabilities))), slices.Sorted(slices.Values(s.Capabilities))) {
		t.Errorf("spec has the capabilities %v, want each once", s.Capabilities)
	}
}

func wantKind(t *testing.T, what string, err error, kind adapters.Kind) {
	t.Helper()
	var e *adapters.Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Errorf("%s: got error %v, want one of kind %q", what, err, kind)
	}
}

// wantCanceled runs f with a context that has ended.
func wantCanceled(t *testing.T, what string, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := f(ctx); adapters.KindOf(err) != adapters.Canceled {
		t.Errorf("%s with an ended context: got %v, want an error of kind %q", what, err, adapters.Canceled)
	}
}

// atOnce runs f in several goroutines and gives up on a deadlock.
func atOnce(t *testing.T, f func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() { errs[i] = f(i) })
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
		t.Fatal("four calls at once have not ended after two minutes")
	}
	for i, err := range errs {
		if err != nil {
			t.Errorf("call %d of four at once: %v", i, err)
		}
	}
}

// wantSame compares bit for bit.
func wantSame(t *testing.T, what string, got, want *adapters.Tensor) {
	t.Helper()
	if got.Describe() != want.Describe() || !bytes.Equal(got.Data, want.Data) {
		t.Errorf("%s: %s differs from %s in its bits", what, got.Describe(), want.Describe())
	}
}

// wantClose compares element by element; NaN is never close.
func wantClose(t *testing.T, what string, got, want []float32, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: got %d elements, want %d", what, len(got), len(want))
		return
	}
	for i := range want {
		g, w := float64(got[i]), float64(want[i])
		if diff := math.Abs(g - w); !(diff <= tolerance+tolerance*math.Abs(w)) {
			t.Errorf("%s: element %d is %g, want %g (tolerance %g)", what, i, g, w, tolerance)
			return
		}
	}
}

func values(t *testing.T, what string, tensor *adapters.Tensor) []float32 {
	t.Helper()
	v, err := tensor.ToFloat32()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	for i, x := range v {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			t.Fatalf("%s: element %d is %g", what, i, x)
		}
	}
	return v
}
