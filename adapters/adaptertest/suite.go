package adaptertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/modular-bridging/bridge/adapters"
)

// Options fit the suite to a model. The zero value suits most.
type Options struct {
	// Tolerance is the largest difference, absolute and relative, between the same
	// example alone and in a batch; 0 means 1e-4, or 0.05 if the model computes in
	// bfloat16.
	Tolerance float64
	// GradientTolerance is the largest error of the gradient along a direction,
	// relative to its norm, against a difference quotient; 0 means 0.02, or 0.3
	// in bfloat16.
	GradientTolerance float64
	// Epsilon is the step of that quotient; 0 means 1e-2, or 0.1 in bfloat16, and more
	// if the spec's token norm is above 1.
	Epsilon float64
	// QueryTokens is Q of the soft prompts; 0 means 3.
	QueryTokens int
	// Texts are two texts that the model can read; nil means English.
	Texts []string
	// Wait is the time after which a call counts as hung; 0 means two minutes.
	Wait time.Duration
}

// withDefaults fills in what depends on the model, too.
func (o Options) withDefaults(dtype adapters.DType, tokenNorm float32) Options {
	tolerance, gradient, epsilon := 1e-4, 0.02, 1e-2
	if dtype == adapters.BFloat16 {
		tolerance, gradient, epsilon = 0.05, 0.3, 0.1
	}
	if o.Tolerance == 0 {
		o.Tolerance = tolerance
	}
	if o.GradientTolerance == 0 {
		o.GradientTolerance = gradient
	}
	if o.Epsilon == 0 {
		o.Epsilon = epsilon * max(1, float64(tokenNorm))
	}
	if o.QueryTokens == 0 {
		o.QueryTokens = 3
	}
	if len(o.Texts) < 2 {
		o.Texts = []string{"a photo of", " a red dog on a green hill"}
	}
	if o.Wait == 0 {
		o.Wait = 2 * time.Minute
	}
	return o
}

var digest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// testSpec checks the fields that both kinds of spec have: that the spec is correct.
func testSpec(t T, s adapters.Spec, kind adapters.ModelKind) {
	t.Helper()
	if s.ID == "" || s.Family == "" {
		t.Errorf("spec %+v: want an id and a family", s)
	}
	if !digest.MatchString(s.Digest) {
		t.Errorf("spec has the digest %q, want \"sha256:\" and 64 hexadecimal digits, of the weights", s.Digest)
	}
	if s.Kind != kind || s.Width <= 0 || s.Parameters <= 0 {
		t.Errorf("spec has kind %q, width %d and %d parameters, want kind %q and positive numbers", s.Kind, s.Width, s.Parameters, kind)
	}
	if s.MemoryBytes < 0 {
		t.Errorf("spec has %d bytes of memory", s.MemoryBytes)
	}
	if s.DType != adapters.Float32 && s.DType != adapters.BFloat16 {
		t.Errorf("spec has dtype %s, want float32 or bfloat16", s.DType)
	}
	if !slices.Equal(slices.Compact(slices.Sorted(slices.Values(s.Capabilities))), slices.Sorted(slices.Values(s.Capabilities))) {
		t.Errorf("spec has the capabilities %v, want each once", s.Capabilities)
	}
	known := adapters.LanguageCapabilities()
	for _, c := range s.Capabilities {
		if !slices.Contains(known, c) {
			t.Logf("the capability %q is none that this version of bridge knows (%v): it is ignored", c, known)
		}
	}
}

func wantKind(t T, what string, err error, kind adapters.Kind) {
	t.Helper()
	var e *adapters.Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Errorf("%s: got %s, want one of kind %q", what, kindText(err), kind)
	}
}

// survivable fails the case if an error means that the adapter is gone, or has no text.
func survivable(t T, what string, err error) {
	t.Helper()
	switch adapters.KindOf(err) {
	case adapters.Unavailable, adapters.Unknown, adapters.Canceled:
		t.Errorf("%s: got %s, want numbers or an error that says what is wrong with the request", what, kindText(err))
	}
}

// wantCanceled runs f with a context that has ended.
func wantCanceled(t T, wait time.Duration, what string, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := endsWithin(t, what+" with an ended context", wait, func() error { return f(ctx) })
	if adapters.KindOf(err) != adapters.Canceled {
		t.Errorf("%s with an ended context: got %s, want an error of kind %q", what, kindText(err), adapters.Canceled)
	}
}

// canceledSoon runs f with a context that ends while f works. f returns an error of kind
// Canceled, or what it would have returned otherwise. The context ends after a time that is
// enough for f to begin, on a slow or busy machine, too, and that is at least 20 ms and at most
// a second.
func canceledSoon(t T, wait, after time.Duration, what string, f func(context.Context, context.CancelFunc) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	after = min(max(after, 20*time.Millisecond), time.Second)
	timer := time.AfterFunc(after, cancel)
	defer timer.Stop()
	err := endsWithin(t, fmt.Sprintf("%s, given up after %v,", what, after.Round(time.Millisecond)), wait, func() error { return f(ctx, cancel) })
	if err != nil && adapters.KindOf(err) != adapters.Canceled {
		t.Errorf("%s, given up while it worked: got %s, want one of kind %q", what, kindText(err), adapters.Canceled)
	}
}

// atOnce runs f in several goroutines and gives up on a deadlock.
func atOnce(t T, wait time.Duration, f func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() { errs[i] = guarded(func() error { return f(i) }) })
	}
	_ = endsWithin(t, "one of four calls at once", wait, func() error { wg.Wait(); return nil })
	for i, err := range errs {
		if err != nil {
			t.Errorf("call %d of four at once: %v", i, err)
		}
	}
}

// wantSame compares bit for bit.
func wantSame(t T, what string, got, want *adapters.Tensor) {
	t.Helper()
	if got.Describe() != want.Describe() || !bytes.Equal(got.Data, want.Data) {
		t.Errorf("%s: %s differs from %s in its bits", what, got.Describe(), want.Describe())
	}
}

// wantClose compares element by element; NaN is never close.
func wantClose(t T, what string, got, want []float32, tolerance float64) {
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

func values(t T, what string, tensor *adapters.Tensor) []float32 {
	t.Helper()
	v, err := tensor.ToFloat32()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	for i, x := range v {
		if !finite(x) {
			t.Fatalf("%s: element %d is %g", what, i, x)
		}
	}
	return v
}

func finite(x float32) bool { return x-x == 0 }

// testClose checks that an adapter can be closed twice and then refuses calls.
func testClose(t T, wait time.Duration, m model, call func() error) {
	t.Helper()
	for _, time := range []string{"close", "close, a second time,"} {
		if err := endsWithin(t, time, wait, m.Close); err != nil {
			t.Errorf("%s gives %v", time, err)
		}
	}
	if err := endsWithin(t, "a call after close", wait, call); err == nil {
		t.Errorf("a call after close succeeds, want an error")
	}
}

// many returns the size of a large batch: 64, or 16 if one example takes long.
func many(one func()) int {
	one() // compile graphs before measuring
	began := time.Now()
	if one(); time.Since(began) > 250*time.Millisecond {
		return 16
	}
	return 64
}

// The headings of docs/contract.md that cases refer to.
const (
	ruleStrings    = "docs/contract.md, Strings"
	ruleSpec       = "docs/contract.md, The spec"
	ruleNumbers    = "docs/contract.md, Numbers"
	ruleGeneration = "docs/contract.md, Generation"
	ruleRefusals   = "docs/contract.md, Refusals"
	ruleCalls      = "docs/contract.md, Calls"
)
