package adaptertest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/modular-bridging/bridge/adapters"
)

func (l *languageCases) testOwned(t T) {
	req := l.request()
	mine := l.loss(t, req)
	want := &adapters.LossResponse{Loss: slices.Clone(mine.Loss), Tokens: slices.Clone(mine.Tokens)}
	if mine.Gradient != nil {
		want.Gradient = adapters.NewTensor(adapters.Float32, mine.Gradient.Shape...)
		copy(want.Gradient.Data, mine.Gradient.Data)
		clear(mine.Gradient.Data)
	}
	clear(mine.Loss)
	for i := range mine.Tokens {
		mine.Tokens[i] = 1 // what a count can be, so that the answer is compared
	}
	l.same(t, req, want)
}

func (l *languageCases) testCanceled(t T) {
	wantCanceled(t, l.o.Wait, "loss", func(ctx context.Context) error {
		_, err := l.m.Loss(ctx, l.request())
		return err
	})
	wantCanceled(t, l.o.Wait, "generate", func(ctx context.Context) error {
		_, err := l.m.Generate(ctx, l.generateRequest(), nil)
		return err
	})
	l.loss(t, l.request()) // and the model lives on
}

// testCanceledAtWork gives up calls in the middle: a loss of many examples, and
// an answer that is long and has begun.
func (l *languageCases) testCanceledAtWork(t T) {
	req := l.request()
	began := time.Now()
	want := l.loss(t, req)
	small := time.Since(began)
	large := *req
	for range 16 {
		large.Examples = append(large.Examples[:len(large.Examples):len(large.Examples)], req.Examples...)
	}
	canceledSoon(t, l.o.Wait, small, "loss", func(ctx context.Context, _ context.CancelFunc) error {
		_, err := l.m.Loss(ctx, &large)
		return err
	})
	generate := l.generateRequest()
	generate.Examples = generate.Examples[:1]
	n := 200
	if c := l.spec.ContextTokens; c > 0 {
		n = max(2, min(n, c-l.o.QueryTokens-len(l.o.Texts[0])-2))
	}
	generate.Options.MinNewTokens, generate.Options.MaxNewTokens = n, n
	// The first piece ends the context. The time is for models that answer in one piece.
	canceledSoon(t, l.o.Wait, time.Second, "generate", func(ctx context.Context, cancel context.CancelFunc) error {
		_, err := l.m.Generate(ctx, generate, func(adapters.Piece) error {
			cancel()
			return nil
		})
		return err
	})
	var got *adapters.LossResponse
	err := endsWithin(t, "loss after canceled calls", l.o.Wait, func() (err error) {
		got, err = l.m.Loss(t.Context(), req)
		return err
	})
	if err != nil {
		t.Fatalf("loss after canceled calls: %v", err)
	}
	if !slices.Equal(got.Loss, want.Loss) {
		t.Errorf("after canceled calls the losses are %v, before %v", got.Loss, want.Loss)
	}
}

func (l *languageCases) testAtOnce(t T) {
	want := l.loss(t, l.request())
	answer := l.generate(t, l.generateRequest(), nil)
	atOnce(t, l.o.Wait, func(i int) error {
		if i%2 == 0 {
			got, err := l.m.Loss(t.Context(), l.request())
			if err == nil && !reflect.DeepEqual(got, want) {
				err = errors.New("losses or gradient differ from those of a call alone")
			}
			return err
		}
		got, err := l.m.Generate(t.Context(), l.generateRequest(), nil)
		if err == nil && !reflect.DeepEqual(got, answer) {
			err = errors.New("answers differ from those of a call alone")
		}
		return err
	})
}

func (l *languageCases) testClosed(t T) {
	other, err := l.another(t.Context())
	if err != nil {
		t.Fatalf("opening the checkpoint again: %v", err)
	}
	testClose(t, l.o.Wait, other, func() error {
		_, err := other.Loss(t.Context(), l.request())
		return err
	})
	if _, err := other.Generate(t.Context(), l.generateRequest(), nil); err == nil {
		t.Errorf("generate after close succeeds, want an error")
	}
}
