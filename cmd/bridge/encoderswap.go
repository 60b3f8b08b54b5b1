package main

import (
	"context"
	"fmt"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/train"
)

// forEncoder makes the bridge that a recipe starts from fit its encoder. It takes
// from over: what it returns is closed in its place. plain leaves cross-attention
// fresh, as [bench.start] does.
func (b *bench) forEncoder(ctx context.Context, r *recipes.Resolved, from *bridge.Bridge, plain bool) (*bridge.Bridge, error) {
	now, trained := b.vision.Spec(), from.Info.Vision
	same := trained.Digest == "" || trained.Digest == now.Digest && trained.Layer == now.Layer
	if same && now.Width == from.Config().EncoderWidth {
		return from, nil
	}
	if r.Swap == nil || r.Swap.Encoder == "" {
		if now.Width != from.Config().EncoderWidth {
			from.Close()
			return nil, adapters.Errorf(adapters.Invalid, "%s gives features of width %d, the bridge %s was trained for width %d (%s)",
				now.ID, now.Width, r.From, trained.Width, trained.ID).
				WithRemedy("swap it with `bridge retrain --encoder %s`, or set swap.encoder = %q", now.ID, train.EncoderLeastSquares)
		}
		b.program.log.Warn("the bridge was trained on features of another encoder; swap.encoder would fit it to them", "bridge", r.From,
			"encoder", now.ID, "layer", now.Layer, "digest", now.Digest, "trained with", trained.ID, "its layer", trained.Layer, "its digest", trained.Digest)
		return from, nil
	}
	defer from.Close()
	to, err := from.ForEncoder(ctx, now, r.Seed)
	if err != nil {
		return nil, err
	}
	if r.Swap.Encoder == train.EncoderLeastSquares && !plain {
		if err := b.foldEncoder(ctx, r, from, to); err != nil {
			to.Close()
			return nil, err
		}
	}
	return to, nil
}

// foldPictures is how many pictures the map between two encoders is fitted on.
const foldPictures = 384

// foldEncoder starts cross-attention from the old encoder's. Where the two
// encoders' tokens cannot be matched it starts fresh, and says so.
func (b *bench) foldEncoder(ctx context.Context, r *recipes.Resolved, from, to *bridge.Bridge) error {
	o, err := openingOfSide(b.registry, from.Info.Vision, adapters.KindVision, r.Run.Backend, r.Vision.Isolation)
	if err != nil {
		return err
	}
	w, _, err := b.oldWishes(ctx)
	if err != nil {
		return err
	}
	o.ask(w)
	o.transport = r.Vision.Transport
	if layer := from.Info.Vision.Layer; layer != 0 {
		o.layer = &layer
	}
	old, err := b.program.openVision(ctx, b.registry, o)
	if err != nil {
		return fmt.Errorf("the old encoder: %w", err)
	}
	defer b.program.closing(old)()
	pictures, err := b.dataset(r.Data.Train, old.Spec().Image)
	if err != nil {
		return err
	}
	rows := make([]int, min(foldPictures, pictures.Len()))
	for i := range rows {
		rows[i] = i
	}
	was, err := fresh{old, pictures}.Features(ctx, rows)
	if err != nil {
		return err
	}
	pictures, err = b.dataset(r.Data.Train, b.vision.Spec().Image)
	if err != nil {
		return err
	}
	is, err := fresh{b.vision, pictures}.Features(ctx, rows)
	if err != nil {
		return err
	}
	f, err := train.FoldEncoder(from, to, was, is, r.Seed)
	if adapters.KindOf(err) == adapters.Unsupported {
		b.program.log.Warn("cross-attention starts fresh", "reason", err)
		return nil
	}
	if err == nil {
		b.program.log.Info("cross-attention carried over through the encoders' features", "pictures", len(rows), "R2", fmt.Sprintf("%.3f", f.R2), "ridge", f.Ridge)
	}
	return err
}
