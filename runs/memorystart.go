package runs

import (
	"cmp"
	"context"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/memory"
	"github.com/modular-bridging/bridge/workspace"
)

// startOf returns what a run of the recipe fits before its first step, or nil if that is nothing. A bridge
// that does not exist yet is taken to need no fit.
func (m models) startOf(ctx context.Context, w *workspace.Workspace, r *recipes.Recipe) (*memory.Start, error) {
	if r.From == "" {
		return nil, nil
	}
	info, config, err := donor(ctx, w, r.From)
	if adapters.KindOf(err) == adapters.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	reg, err := w.Registry()
	if err != nil {
		return nil, err
	}
	s := &memory.Start{OldEncoder: m.oldEncoder(reg, r, info)}
	if s.OldEncoder != nil {
		s.Mapped = takenOf(r, encoderInitPictures)
	}
	if m.language != nil {
		m.addProjection(s, reg, r, info, config)
	}
	if *s == (memory.Start{}) {
		return nil, nil
	}
	return s, nil
}

// oldEncoder returns the sizes of the encoder whose features are mapped to those of the recipe's, or nil.
func (m models) oldEncoder(reg *registry.Registry, r *recipes.Recipe, info bridge.Info) *memory.Encoder {
	old := info.Vision
	if r.Swap == nil || r.Swap.Encoder != train.EncoderLeastSquares || old.ID == m.vision.ID && old.Width == m.vision.Width {
		return nil
	}
	e := &memory.Encoder{Tokens: m.vision.Tokens, Width: old.Width, Number: 4}
	if found, err := sideModel(reg, old); err == nil {
		size := cmp.Or(old.Image.Width, found.ImageSize)
		e.Tokens = cmp.Or(found.TokensAt(size), found.Tokens, e.Tokens)
		e.Picture = 3 * int64(size) * int64(size)
	}
	return e
}

// addProjection adds what is fitted for the projection.
func (m models) addProjection(s *memory.Start, reg *registry.Registry, r *recipes.Recipe, info bridge.Info, config qformer.Config) {
	inWords := r.InWords() || r.Projection.Kind == "" && info.Words != nil
	named := *r
	if inWords {
		named.Projection.Kind = recipes.ProjectionWords
	}
	init := possibleInit(&named, info, info.Language != nil && info.Language.ID == m.language.ID)
	t := train.ProjectionTransfer{From: &bridge.Bridge{Info: info}, Init: init, InWords: inWords}
	s.Pictures = takenOf(r, t.Pictures())
	if s.Pictures == 0 {
		return
	}
	s.OldWidth = config.LanguageWidth
	switch {
	case inWords:
		s.Words = r.Projection.MaxWords()
	case t.NeedsWords() || init == train.ProjectionCaptionTokens:
		s.Outputs = true
	default:
		if found, err := sideModel(reg, *info.Language); err == nil {
			s.OldVocabulary = found.Sizes.Vocabulary
		}
		s.Tokens = min(s.OldVocabulary, m.language.Sizes.Vocabulary)
	}
}

// takenOf returns how many of n training pictures there are, as far as the recipe says.
func takenOf(r *recipes.Recipe, n int) int {
	if taken := r.Data.Train.Pictures; taken > 0 {
		return min(n, taken)
	}
	return n
}

// sideModel looks up a frozen model that a bridge was trained with.
func sideModel(reg *registry.Registry, side bridge.Side) (registry.Backbone, error) {
	if side.Path != "" {
		return reg.Folder(side.Path)
	}
	return reg.Lookup(side.ID)
}
