package train

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/affine"
	"github.com/modular-bridging/bridge/train/cost"
)

// ProjectionInit says where the projection of a stage-2 bridge comes from.
type ProjectionInit string

// The ways to initialise a projection.
const (
	// ProjectionFresh is random, scaled to the language model's token norm.
	ProjectionFresh ProjectionInit = "fresh"
	// ProjectionSharedTokens carries the old projection over by a least-squares map
	// between the embeddings of the tokens that both language models share.
	ProjectionSharedTokens ProjectionInit = "shared-tokens"
	// ProjectionOrthogonal does the same with a scaled rotation for the map.
	ProjectionOrthogonal ProjectionInit = "orthogonal"
	// ProjectionCaptionTokens needs no old projection: a ridge regression from Q-Former
	// outputs to the new model's embeddings of the captions' tokens.
	ProjectionCaptionTokens ProjectionInit = "caption-tokens"
	// ProjectionWords carries the old projection over through words. If the old one is linear,
	// weights of words are fitted to its soft prompts among the old model's embeddings of the
	// words. The new soft prompts are sums of the new model's embeddings of the same words.
	ProjectionWords ProjectionInit = "words"
	// ProjectionKeep takes the old projection as it is: the language model is the same.
	ProjectionKeep ProjectionInit = "keep"
)

// NeedsOldLanguage reports whether the initialisation carries an old projection
// over and so needs the language model that it was trained with.
func (p ProjectionInit) NeedsOldLanguage() bool {
	return p == ProjectionSharedTokens || p == ProjectionOrthogonal || p == ProjectionWords
}

// ProjectionTransfer joins a bridge with a language model for stage 2.
type ProjectionTransfer struct {
	From        *bridge.Bridge         // stage 1, or stage 2 with another language model
	Language    adapters.LanguageModel // the one to join with
	OldLanguage adapters.LanguageModel // the one that From was trained with; see [ProjectionInit.NeedsOldLanguage]
	Templates   bridge.Templates       // texts around captions and questions
	Init        ProjectionInit
	// InWords makes a projection that speaks in words. Without it the projection is linear.
	InWords bool
	// Words are the words of a projection that speaks in words, or that a linear one is fitted
	// to; see [ProjectionTransfer.NeedsWords].
	Words bridge.Words
	// Replaced leaves the soft prompts of words random, because a checkpoint's weights replace them.
	Replaced bool
	Seed     uint64
	// Features are those of some training pictures, on which the soft prompts are
	// scaled to the model's token norm. Captions are these pictures' captions.
	Features *adapters.Tensor
	Captions []string
	// Cost counts what is computed with bridges that do not live on: rows through their Q-Formers,
	// and pictures in the steps of a fit. It may be nil.
	Cost *cost.Meter
	Log  *slog.Logger

	embedded [2][]float32 // the words' embeddings in Language and OldLanguage, once CheckWords has them
}

// count adds a count to Cost.
func (p ProjectionTransfer) count(c cost.Count) {
	if p.Cost != nil {
		p.Cost.Add(c)
	}
}

// NeedsWords reports whether the transfer needs a list of words: for the new projection, or
// because a linear one is fitted to what words say.
func (p ProjectionTransfer) NeedsWords() bool {
	return p.InWords || p.Init == ProjectionWords || p.Init == ProjectionKeep && p.From.Info.Words != nil
}

// NeedsOldLanguage reports whether the transfer needs the language model that From was trained
// with.
func (p ProjectionTransfer) NeedsOldLanguage() bool {
	return p.Init.NeedsOldLanguage() && p.From.Info.Words == nil
}

// fitPictures is the number of training pictures that something is fitted to.
const fitPictures = 2048

// Pictures returns the number of training pictures that the transfer needs: 2048 to fit
// something, 128 to measure a norm.
func (p ProjectionTransfer) Pictures() int {
	switch {
	case p.Init == ProjectionCaptionTokens, p.NeedsWords() && (!p.InWords || p.NeedsOldLanguage()):
		return fitPictures
	case p.NeedsOldLanguage():
		return 128
	}
	return 0
}

// TransferStats describes a map between two models that was fitted to carry
// trained weights over: a projection ([ProjectionTransfer]) or cross-attention
// ([FoldEncoder]).
type TransferStats struct {
	Rows  int     // that the map was fitted to: shared tokens, Q-Former outputs or feature tokens
	R2    float64 // of the map on rows that it was not fitted to
	Ridge float64 // chosen on those; 0 for an orthogonal map
	Scale float64 // that brought the soft prompts to the new model's token norm; 0 if they were not scaled, and for cross-attention
}

// NewBridge returns the stage-2 bridge that training starts from. From is not
// changed. If the projection cannot be carried over (a model shows no token
// embeddings, or the vocabularies share too few tokens), NewBridge logs a warning
// and the projection starts fresh.
func (p ProjectionTransfer) NewBridge(ctx context.Context) (*bridge.Bridge, error) {
	if p.InWords {
		return p.inWords(ctx)
	}
	b, err := p.From.ForLanguage(p.Language.Spec(), p.Templates, p.Seed)
	if err != nil {
		return nil, err
	}
	if p.NeedsWords() {
		err = p.linearFromWords(ctx, b)
		return closeIf(b, err)
	}
	switch p.Init {
	case ProjectionSharedTokens:
		err = p.fromOldProjection(ctx, b, affine.Ridge)
	case ProjectionOrthogonal:
		err = p.fromOldProjection(ctx, b, affine.Procrustes)
	case ProjectionCaptionTokens:
		err = p.fromCaptionTokens(ctx, b)
	case ProjectionKeep:
		err = keepProjection(p.From, b)
	}
	return closeIf(b, err)
}

// closeIf returns the bridge, or closes it if there is an error.
func closeIf(b *bridge.Bridge, err error) (*bridge.Bridge, error) {
	if err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

func (p ProjectionTransfer) fromOldProjection(ctx context.Context, b *bridge.Bridge, fit fitter) error {
	if p.OldLanguage == nil {
		return fmt.Errorf("the old projection is carried over through the old language model %s, which is not open", p.From.Info.Language.ID)
	}
	from, ok := adapters.AsTokenEmbedder(p.OldLanguage)
	to, ok2 := adapters.AsTokenEmbedder(p.Language)
	if !ok || !ok2 {
		p.Log.Warn("a language model shows no token embeddings: the projection starts fresh", "old", p.OldLanguage.Spec().ID, "new", p.Language.Spec().ID)
		return nil
	}
	stats, err := transferProjection(ctx, p.From, b, from, to, p.Features, fit, p.Seed)
	return p.logTransfer("projection carried over through shared tokens", stats, err)
}

func (p ProjectionTransfer) fromCaptionTokens(ctx context.Context, b *bridge.Bridge) error {
	to, ok := adapters.AsTokenEmbedder(p.Language)
	if !ok {
		p.Log.Warn("the language model shows no token embeddings: the projection starts fresh", "model", p.Language.Spec().ID)
		return nil
	}
	captions := make([]string, len(p.Captions))
	for i, c := range p.Captions {
		captions[i] = p.Templates.TargetPrefix + c
	}
	stats, err := fitProjectionToCaptions(ctx, b, to, p.Features, captions, p.Seed)
	return p.logTransfer("projection fitted to the captions' tokens", stats, err)
}

// logTransfer logs how the projection was initialised. An error of kind
// Unsupported is logged, too, and dropped: the projection starts fresh.
func (p ProjectionTransfer) logTransfer(message string, stats TransferStats, err error) error {
	if adapters.KindOf(err) == adapters.Unsupported {
		p.Log.Warn("the projection starts fresh", "reason", err)
		return nil
	}
	if err != nil {
		return err
	}
	args := []any{"rows", stats.Rows, "R2", fmt.Sprintf("%.3f", stats.R2), "ridge", stats.Ridge}
	if stats.Scale != 0 {
		args = append(args, "rescaled", fmt.Sprintf("%.2f", stats.Scale))
	}
	p.Log.Info(message, args...)
	return nil
}

func keepProjection(from, to *bridge.Bridge) error {
	w, bias, err := from.Projection()
	if err != nil {
		return err
	}
	return to.SetProjection(w, bias)
}
