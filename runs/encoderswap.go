package runs

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/featurecache"
	"github.com/modular-bridging/bridge/internal/shell"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/workspace"
)

// forEncoder adapts the starting bridge to the recipe's encoder. It takes ownership of from:
// the caller closes only the returned bridge. If random is true, cross-attention stays random,
// see [resources.start].
func (res *resources) forEncoder(ctx context.Context, r *recipes.Resolved, from *bridge.Bridge, random bool) (*bridge.Bridge, error) {
	now, trained := res.vision.Spec(), from.Info.Vision
	l, err := res.lock()
	if err != nil {
		from.Close()
		return nil, err
	}
	same := trained.Digest == "" || trained.Digest == now.Digest && trained.Layer == now.Layer && len(workspace.Changes(trained, l.Vision)) == 0
	if same && now.Width == from.Config().EncoderWidth {
		return from, nil
	}
	if r.Swap == nil || r.Swap.Encoder == "" {
		if err := res.checkUnswappedEncoder(r, from); err != nil {
			from.Close()
			return nil, err
		}
		return from, nil
	}
	defer from.Close()
	to, err := from.ForEncoder(ctx, now, r.Seed)
	if err != nil {
		return nil, err
	}
	if r.Swap.Encoder == train.EncoderLeastSquares && !random {
		if err := res.initCrossAttention(ctx, r, from, to); err != nil {
			to.Close()
			return nil, err
		}
	}
	return to, nil
}

// checkUnswappedEncoder checks the encoder of a recipe that does not swap it. It returns an
// error if the width differs, and warns if the weights, the layer or the files differ.
func (res *resources) checkUnswappedEncoder(r *recipes.Resolved, from *bridge.Bridge) error {
	now, trained := res.vision.Spec(), from.Info.Vision
	if now.Width != from.Config().EncoderWidth {
		return adapters.Errorf(adapters.Invalid, "%s gives features of width %d, but the bridge %s was trained for width %d (%s)",
			now.ID, now.Width, r.From, trained.Width, trained.ID).
			WithRemedy("swap it with `bridge retrain --encoder %s`, or set swap.encoder = %q", shell.Word(now.ID), train.EncoderLeastSquares)
	}
	if trained.Digest != now.Digest || trained.Layer != now.Layer {
		res.workspace.Log().Warn("the bridge was trained on features of another encoder; set swap.encoder to fit it to the new ones",
			"bridge", r.From, "encoder", now.ID, "layer", now.Layer, "digest", now.Digest,
			"trained with", trained.ID, "its layer", trained.Layer, "its digest", trained.Digest)
	}
	l, err := res.lock()
	if err == nil {
		res.workspace.WarnChanges(adapters.KindVision, trained, l.Vision)
	}
	return err
}

// encoderInitPictures is the number of pictures to fit the map between two encoders on.
const encoderInitPictures = 384

// initCrossAttention initializes cross-attention from that of the old encoder. If the tokens of
// the two encoders cannot be matched, it warns and leaves cross-attention random.
func (res *resources) initCrossAttention(ctx context.Context, r *recipes.Resolved, from, to *bridge.Bridge) error {
	s, err := res.oldSpec(ctx, from.Info.Vision, adapters.KindVision)
	if err != nil {
		return err
	}
	s.Isolation, s.Transport = r.Vision.Isolation, r.Vision.Transport
	res.workspace.WarnSideChanges(s, adapters.KindVision, from.Info.Vision)
	old, err := res.workspace.OpenVision(ctx, s)
	if err != nil {
		return fmt.Errorf("open the old encoder: %w", err)
	}
	defer res.workspace.Closer(old)()
	before, after, n, err := res.featuresOfBoth(ctx, old)
	if err != nil {
		return err
	}
	f, err := train.FoldEncoder(from, to, before, after, r.Seed)
	if adapters.KindOf(err) == adapters.Unsupported {
		res.workspace.Log().Warn("cross-attention starts fresh", "reason", err)
		return nil
	}
	if err == nil {
		res.workspace.Log().Info("cross-attention transferred through the encoders' features",
			"pictures", n, "R2", fmt.Sprintf("%.3f", f.R2), "ridge", f.Ridge)
	}
	return err
}

// featuresOfBoth returns the features of the first training pictures by the old encoder and by
// the new one, and the number of pictures. It leaves out pictures that fail with either.
func (res *resources) featuresOfBoth(ctx context.Context, old adapters.VisionEncoder) (before, after *adapters.Tensor, n int, err error) {
	set := train.Set{Data: res.whole[trainSplit], LeftOut: res.train.LeftOut}
	err = set.Retry(func() (err error) {
		rows := firstUsable(set, encoderInitPictures)
		n = len(rows)
		if before, err = res.featuresFor(ctx, old, rows); err == nil {
			after, err = res.featuresFor(ctx, res.vision, rows)
		}
		return err
	})
	return before, after, n, err
}

// featuresFor returns an encoder's features of rows of the training data.
func (res *resources) featuresFor(ctx context.Context, encoder adapters.VisionEncoder, rows []int) (*adapters.Tensor, error) {
	pictures, broken, err := OpenSource(ctx, res.workspace, res.recipe.Data.Train, res.recipe.Data, encoder.Spec().Image, res.inventory(trainSplit, res.train.LeftOut))
	if err != nil {
		return nil, err
	}
	if c, ok := pictures.(io.Closer); ok {
		defer res.workspace.Closer(c)()
	}
	if bad := pictureErrors(broken); len(bad) > 0 { // since the data was opened
		return nil, bad
	}
	return featurecache.NewUncached(res.counted(encoder), pictures).Features(ctx, rows)
}

// pictureErrors returns the errors of pictures among others.
func pictureErrors(all []error) (bad data.PictureErrors) {
	for _, err := range all {
		if p := (*data.PictureError)(nil); errors.As(err, &p) {
			bad = append(bad, p)
		}
	}
	return bad
}
