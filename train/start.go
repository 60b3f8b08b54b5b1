package train

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
)

// Join is a bridge that is to be joined with a language model for stage 2.
type Join struct {
	From     *bridge.Bridge         // stage 1, or stage 2 with another language model
	Language adapters.LanguageModel // the one to join with
	Old      adapters.LanguageModel // the one that From was trained with; needed by StartSharedTokens alone
	Prompts  bridge.Prompts
	Start    Start
	Seed     uint64
	// Sample is features of a few training pictures, on which soft prompts are
	// brought to the model's token norm.
	Sample *adapters.Tensor
	Log    *slog.Logger
}

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
		err = j.carry(ctx, b)
	case StartKeep:
		err = keepProjection(j.From, b)
	}
	if err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

func (j Join) carry(ctx context.Context, b *bridge.Bridge) error {
	if j.Old == nil {
		return fmt.Errorf("carrying the projection over needs the old language model %s, which is not open", j.From.Info.Language.ID)
	}
	from, ok := adapters.AsTokenEmbedder(j.Old)
	to, ok2 := adapters.AsTokenEmbedder(j.Language)
	if !ok || !ok2 {
		j.Log.Warn("a language model shows no token embeddings: the projection starts fresh", "old", j.Old.Spec().ID, "new", j.Language.Spec().ID)
		return nil
	}
	shared, err := CarryProjection(ctx, j.From, b, from, to, j.Sample, j.Seed)
	if err != nil {
		if adapters.KindOf(err) == adapters.Unsupported {
			j.Log.Warn("the projection starts fresh", "reason", err)
			return nil
		}
		return err
	}
	j.Log.Info("projection carried over through shared tokens", "tokens", shared.Tokens,
		"R2", fmt.Sprintf("%.3f", shared.R2), "ridge", shared.Ridge, "rescaled", fmt.Sprintf("%.2f", shared.Scale))
	return nil
}

func keepProjection(from, to *bridge.Bridge) error {
	w, bias, err := from.Projection()
	if err != nil {
		return err
	}
	return to.SetProjection(w, bias)
}
