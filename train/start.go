package train

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/affine"
)

// Join is a bridge that is to be joined with a language model for stage 2.
type Join struct {
	From     *bridge.Bridge         // stage 1, or stage 2 with another language model
	Language adapters.LanguageModel // the one to join with
	Old      adapters.LanguageModel // the one that From was trained with; see [Start.NeedsOld]
	Prompts  bridge.Templates
	Start    Start
	Seed     uint64
	// Sample is features of some training pictures, on which soft prompts are
	// brought to the model's token norm; Captions are theirs.
	Sample   *adapters.Tensor
	Captions []string
	Log      *slog.Logger
}

// NeedsOld reports whether a start carries an old projection over and so needs
// the language model that it was trained with.
func (s Start) NeedsOld() bool { return s == StartSharedTokens || s == StartOrthogonal }

// Begin returns the stage-2 bridge that training starts from. From is not
// changed. Where the projection is to be carried over and cannot be (a model
// shows no token embeddings, or the vocabularies share too few), it says so in
// the log and starts fresh.
func (j Join) Begin(ctx context.Context) (*bridge.Bridge, error) {
	spec := j.Language.Spec()
	b, err := j.From.ForLanguage(spec, j.Prompts, j.Seed)
	if err != nil {
		return nil, err
	}
	switch j.Start {
	case StartSharedTokens:
		err = j.carry(ctx, b, affine.Ridge)
	case StartOrthogonal:
		err = j.carry(ctx, b, affine.Procrustes)
	case StartCaptionTokens:
		err = j.project(ctx, b)
	case StartKeep:
		err = keepProjection(j.From, b)
	}
	if err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

func (j Join) carry(ctx context.Context, b *bridge.Bridge, fit mapping) error {
	if j.Old == nil {
		return fmt.Errorf("carrying the projection over needs the old language model %s, which is not open", j.From.Info.Language.ID)
	}
	from, ok := adapters.AsTokenEmbedder(j.Old)
	to, ok2 := adapters.AsTokenEmbedder(j.Language)
	if !ok || !ok2 {
		j.Log.Warn("a language model shows no token embeddings: the projection starts fresh", "old", j.Old.Spec().ID, "new", j.Language.Spec().ID)
		return nil
	}
	c, err := CarryProjection(ctx, j.From, b, from, to, j.Sample, fit, j.Seed)
	return j.tell("projection carried over through shared tokens", c, err)
}

func (j Join) project(ctx context.Context, b *bridge.Bridge) error {
	to, ok := adapters.AsTokenEmbedder(j.Language)
	if !ok {
		j.Log.Warn("the language model shows no token embeddings: the projection starts fresh", "model", j.Language.Spec().ID)
		return nil
	}
	captions := make([]string, len(j.Captions))
	for i, c := range j.Captions {
		captions[i] = j.Prompts.TargetPrefix + c
	}
	c, err := ProjectToCaptions(ctx, b, to, j.Sample, captions, j.Seed)
	return j.tell("projection fitted to the captions' tokens", c, err)
}

// tell logs how a projection was started, or that it starts fresh since it could
// not be.
func (j Join) tell(what string, c Carried, err error) error {
	if adapters.KindOf(err) == adapters.Unsupported {
		j.Log.Warn("the projection starts fresh", "reason", err)
		return nil
	}
	if err == nil {
		j.Log.Info(what, "rows", c.Rows, "R2", fmt.Sprintf("%.3f", c.R2), "ridge", c.Ridge, "rescaled", fmt.Sprintf("%.2f", c.Scale))
	}
	return err
}

func keepProjection(from, to *bridge.Bridge) error {
	w, bias, err := from.Projection()
	if err != nil {
		return err
	}
	return to.SetProjection(w, bias)
}
