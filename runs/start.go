package runs

import (
	"context"
	"os"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/workspace"
)

// start returns the bridge that a recipe trains, and how long its projection took to
// initialise. plain leaves the projection random: a checkpoint's weights will replace it.
func (res *resources) start(ctx context.Context, r *recipes.Resolved, plain bool) (*bridge.Bridge, time.Duration, error) {
	from, err := res.origin(ctx, r, plain)
	if err != nil {
		return nil, 0, err
	}
	if r.QFormer.Dropout != nil {
		from.SetDropout(*r.QFormer.Dropout)
	}
	from.Info.Project = workspace.ProjectDir()
	if from.Info.Vision, err = res.visionSide(); err != nil {
		from.Close()
		return nil, 0, err
	}
	if r.Stage == 1 {
		if from.Info.Stage != 1 {
			from.Close()
			return nil, 0, adapters.Errorf(adapters.Invalid, "from is %s, a stage-2 bridge, which lacks the text side that stage 1 trains", r.From).
				WithRemedy("start from a stage-1 bridge")
		}
		return from, 0, nil
	}
	defer from.Close()
	joined, spent, err := res.joinLanguage(ctx, r, from, plain)
	if err != nil {
		return nil, 0, err
	}
	joined.Info.Project = from.Info.Project
	side, err := res.languageSide()
	if err != nil {
		joined.Close()
		return nil, 0, err
	}
	joined.Info.Language = &side
	if from.Info.Stage == 1 {
		joined.Info.Stage1 = r.From
	}
	return joined, spent, nil
}

// origin loads the bridge that the recipe starts from, or makes a random one.
func (res *resources) origin(ctx context.Context, r *recipes.Resolved, plain bool) (*bridge.Bridge, error) {
	if r.From != "" {
		from, err := res.workspace.LoadBridge(ctx, res.backend, r.From)
		if err != nil {
			return nil, err
		}
		return res.forEncoder(ctx, r, from, plain)
	}
	path, err := tokenizerFile(ctx, res.workspace, r.QFormer.Tokenizer)
	if err != nil {
		return nil, err
	}
	words, err := bridge.OpenTokenizer(ctx, path)
	if err != nil {
		return nil, explainTokenizer(r.QFormer.Tokenizer, path, err)
	}
	config := r.QFormerConfig()
	config.Vocabulary, config.EncoderWidth = words.Vocabulary(), res.vision.Spec().Width
	fresh, err := bridge.New(res.backend, config, words, r.Seed)
	if err != nil || r.QFormer.Init == "" || plain {
		return fresh, err
	}
	bert, err := res.snapshot(r.QFormer.Init)
	if err == nil {
		err = fresh.InitFromBERT(bert)
	}
	if err != nil {
		fresh.Close()
		return nil, err
	}
	return fresh, nil
}

// snapshot returns the folder of a repository in the Hugging Face cache. A name that is
// not in the cache is a folder itself.
func (res *resources) snapshot(name string) (string, error) {
	reg, err := res.workspace.Registry()
	if err != nil {
		return "", err
	}
	if dir, ok := reg.Snapshot(name, "config.json"); ok {
		return dir, nil
	}
	return name, nil
}

// explainTokenizer adds to err how to get a tokenizer that is missing.
func explainTokenizer(name, path string, err error) error {
	if _, statErr := os.Stat(path); statErr == nil {
		return err
	}
	return adapters.Errorf(adapters.NotFound, "qformer.tokenizer is %q, and there is no %s", name, path).
		WithRemedy("`bridge models pull %s --files tokenizer.json` fetches it from the Hugging Face hub; or name a folder that holds tokenizer.json", registry.FullName(name))
}

// joinLanguage makes the stage-2 bridge for the run's language model. It returns how long
// the projection took to initialise, features not counted.
func (res *resources) joinLanguage(ctx context.Context, r *recipes.Resolved, from *bridge.Bridge, plain bool) (joined *bridge.Bridge, spent time.Duration, err error) {
	if err := train.CheckLanguage(res.language); err != nil {
		return nil, 0, err
	}
	begin := res.projectionInit(r, from, plain)
	j := train.ProjectionTransfer{From: from, Language: res.language, Templates: r.Templates(), Init: begin, Seed: r.Seed, Log: res.workspace.Log()}
	if begin.NeedsOldLanguage() {
		old, err := res.openOldLanguage(ctx, *from.Info.Language)
		if err != nil {
			return nil, 0, err
		}
		defer res.workspace.Closer(old)()
		j.OldLanguage = old
	}
	if begin.NeedsOldLanguage() || begin == train.ProjectionCaptionTokens {
		if j.Features, j.Captions, err = res.sample(ctx, begin); err != nil {
			return nil, 0, err
		}
	}
	began := time.Now()
	joined, err = j.NewBridge(ctx)
	return joined, time.Since(began), err
}

// projectionInit returns how the projection is initialised: as the recipe says, as far as
// the starting bridge allows.
func (res *resources) projectionInit(r *recipes.Resolved, from *bridge.Bridge, plain bool) train.ProjectionInit {
	begin := r.Plan().ProjectionInit
	same := from.Info.Stage == 2 && from.Info.Language.Digest == res.language.Spec().Digest
	switch {
	case plain:
		return train.ProjectionFresh
	case from.Info.Stage == 1 && (begin.NeedsOldLanguage() || begin == train.ProjectionKeep):
		res.workspace.Log().Warn("a stage-1 bridge has no projection to carry over: it starts fresh", "from", r.From)
		return train.ProjectionFresh
	case same && (r.Swap == nil || begin.NeedsOldLanguage()):
		return train.ProjectionKeep
	}
	return begin
}

// sample returns the features of some training pictures, and their captions: few to
// measure a norm on, many to fit a projection to.
func (res *resources) sample(ctx context.Context, begin train.ProjectionInit) (*adapters.Tensor, []string, error) {
	n := 128
	if begin == train.ProjectionCaptionTokens {
		n = 2048
	}
	n = min(n, res.train.Data.Len())
	rows, captions := make([]int, n), make([]string, n)
	for i := range rows {
		rows[i] = i
		if all := res.train.Data.Record(i).Captions; len(all) > 0 {
			captions[i] = all[0]
		}
	}
	features, err := res.train.Features.Features(ctx, rows)
	return features, captions, err
}

// openOldLanguage opens the language model that the starting bridge was trained with.
func (res *resources) openOldLanguage(ctx context.Context, side bridge.Side) (adapters.LanguageModel, error) {
	s, err := res.oldSpec(ctx, side, adapters.KindLanguage)
	if err != nil {
		return nil, err
	}
	s.Isolation, s.Transport = res.recipe.Language.Isolation, res.recipe.Language.Transport
	return res.workspace.OpenLanguage(ctx, s)
}

// oldSpec returns how to open a frozen model that the starting bridge was trained with.
func (res *resources) oldSpec(ctx context.Context, side bridge.Side, kind adapters.ModelKind) (workspace.OpenSpec, error) {
	dir, err := res.workspace.BridgeDir(ctx, res.recipe.From)
	if err != nil {
		return workspace.OpenSpec{}, err
	}
	s, err := res.workspace.SpecForSide(dir, side, kind)
	s.Backend = res.recipe.Run.Backend
	return s, err
}
