package runs

import (
	"context"
	"os"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/shell"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/workspace"
)

// start returns the bridge that a recipe trains, and the time to initialize its projection. If
// random is true the projection stays random, because a checkpoint's weights will replace it.
func (res *resources) start(ctx context.Context, r *recipes.Resolved, random bool) (*bridge.Bridge, time.Duration, error) {
	from, err := res.startingBridge(ctx, r, random)
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
			return nil, 0, adapters.Errorf(adapters.Invalid,
				"from is %s, a stage-2 bridge, which does not have the text side that stage 1 trains",
				r.From).WithRemedy("start from a stage-1 bridge")
		}
		return from, 0, nil
	}
	defer from.Close()
	joined, spent, err := res.joinLanguage(ctx, r, from, random)
	if err != nil {
		return nil, 0, err
	}
	joined.Info.Project = from.Info.Project
	side, err := res.languageSide()
	if err != nil {
		joined.Close()
		return nil, 0, err
	}
	res.warnLanguageChanges(from.Info.Language, side)
	joined.Info.Language = &side
	if from.Info.Stage == 1 {
		joined.Info.Stage1 = r.From
	}
	return joined, spent, nil
}

// startingBridge loads the bridge that the recipe starts from, or creates a random one.
func (res *resources) startingBridge(ctx context.Context, r *recipes.Resolved, random bool) (*bridge.Bridge, error) {
	if r.From != "" {
		from, err := res.workspace.LoadBridge(ctx, res.backend, r.From)
		if err != nil {
			return nil, err
		}
		return res.forEncoder(ctx, r, from, random)
	}
	path, err := tokenizerFile(ctx, res.workspace, r.QFormer.Tokenizer)
	if err != nil {
		return nil, err
	}
	tokenizer, err := bridge.OpenTokenizer(ctx, path)
	if err != nil {
		return nil, explainTokenizer(r.QFormer.Tokenizer, path, err)
	}
	config := r.QFormerConfig()
	config.Vocabulary, config.EncoderWidth = tokenizer.Vocabulary(), res.vision.Spec().Width
	b, err := bridge.New(res.backend, config, tokenizer, r.Seed)
	if err != nil || r.QFormer.Init == "" || random {
		return b, err
	}
	bert, err := snapshot(res.workspace, r.QFormer.Init)
	if err == nil {
		err = b.InitFromBERT(bert)
	}
	if err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// snapshot returns the folder of a repository in the Hugging Face cache. A name that is not in
// the cache is returned unchanged, as a folder.
func snapshot(w *workspace.Workspace, name string) (string, error) {
	reg, err := w.Registry()
	if err != nil {
		return "", err
	}
	if dir, ok := reg.Snapshot(name, "config.json"); ok {
		return dir, nil
	}
	return name, nil
}

// explainTokenizer returns err, or an error with the remedy if the tokenizer is missing.
func explainTokenizer(name, path string, err error) error {
	if _, statErr := os.Stat(path); statErr == nil {
		return err
	}
	return adapters.Errorf(adapters.NotFound, "qformer.tokenizer is %q, but %s does not exist", name, path).
		WithRemedy("download it (bridge models pull %s --files tokenizer.json), or name a folder with tokenizer.json",
			shell.Path(registry.FullName(name)))
}

// joinLanguage returns the stage-2 bridge for the run's language model, and the time to
// initialize its projection, without the time for features.
func (res *resources) joinLanguage(ctx context.Context, r *recipes.Resolved, from *bridge.Bridge, random bool) (
	joined *bridge.Bridge, spent time.Duration, err error,
) {
	if err := train.CheckLanguage(res.language); err != nil {
		return nil, 0, err
	}
	j := train.ProjectionTransfer{From: from, Language: res.meter.Language(res.language), Templates: r.Templates(), Seed: r.Seed,
		Init: res.projectionInit(r, from, random), InWords: r.Projection.Kind == recipes.ProjectionWords, Replaced: random, Cost: res.meter, Log: res.workspace.Log()}
	if j.NeedsWords() {
		if j.Words, err = res.words(r, from); err != nil {
			return nil, 0, orOtherwise(r, err)
		}
	}
	if j.NeedsOldLanguage() {
		old, err := res.openOldLanguage(ctx, *from.Info.Language)
		if err != nil {
			return nil, 0, err
		}
		defer res.workspace.Closer(old)()
		j.OldLanguage = res.meter.Language(old)
	}
	if n := j.Pictures(); n > 0 {
		res.workspace.Log().Info("the start of the projection reads features", "pictures", n)
		if j.Features, j.Captions, err = res.sample(ctx, n); err != nil {
			return nil, 0, err
		}
	}
	began := time.Now()
	if r.Otherwise != nil && !random {
		if err := j.CheckWords(ctx); err != nil {
			return nil, 0, orOtherwise(r, err)
		}
	}
	joined, err = j.NewBridge(ctx)
	return joined, time.Since(began), orOtherwise(r, err)
}

// noWords is the error of a run whose projection cannot go through words, if its recipe has another
// one for that.
type noWords struct{ reason error }

func (n *noWords) Error() string { return n.reason.Error() }
func (n *noWords) Unwrap() error { return n.reason }

// orOtherwise makes an error about words a [noWords] if the recipe has another one for that.
func orOtherwise(r *recipes.Resolved, err error) error {
	if kind := adapters.KindOf(err); r.Otherwise != nil && (kind == adapters.Invalid || kind == adapters.Unsupported) {
		return &noWords{err}
	}
	return err
}

// projectionInit returns how to initialize the projection: the recipe's way, unless the
// starting bridge does not allow it.
func (res *resources) projectionInit(r *recipes.Resolved, from *bridge.Bridge, random bool) train.ProjectionInit {
	if random {
		return train.ProjectionFresh
	}
	sameModel := from.Info.Stage == 2 && from.Info.Language.Digest == res.language.Spec().Digest
	init := possibleInit(&r.Recipe, from.Info, sameModel)
	if from.Info.Stage == 1 && init != r.ProjectionInit() {
		res.workspace.Log().Warn("a stage-1 bridge has no projection to transfer: the projection starts fresh", "from", r.From)
	}
	return init
}

// possibleInit returns how to initialize the projection of a run that starts from a bridge. sameModel says
// that the bridge was trained with the run's language model.
func possibleInit(r *recipes.Recipe, from bridge.Info, sameModel bool) train.ProjectionInit {
	init := r.ProjectionInit()
	switch {
	case from.Stage == 1 && (init.NeedsOldLanguage() || init == train.ProjectionKeep):
		return train.ProjectionFresh
	case r.Projection.Kind == recipes.ProjectionWords && from.Stage == 2 && from.Words == nil &&
		(r.Swap == nil || init != train.ProjectionFresh):
		return train.ProjectionWords
	case sameModel && (r.Swap == nil || init.NeedsOldLanguage()):
		return train.ProjectionKeep
	case from.Words != nil && init.NeedsOldLanguage():
		return train.ProjectionWords
	}
	return init
}

// sample returns the features and captions of the first n usable training pictures.
func (res *resources) sample(ctx context.Context, n int) (*adapters.Tensor, []string, error) {
	var rows []int
	var features *adapters.Tensor
	err := res.countCached(func() (_ []int, err error) {
		rows, features, err = res.train.Read(ctx, func() ([]int, error) { return firstUsable(res.train, n), nil })
		return rows, err
	})
	captions := make([]string, len(rows))
	for i, row := range rows {
		record, err := res.train.Data.Record(row)
		if err != nil {
			return nil, nil, err
		}
		if len(record.Captions) > 0 {
			captions[i] = record.Captions[0]
		}
	}
	return features, captions, err
}

// firstUsable returns the first n rows of a set that are not left out.
func firstUsable(s train.Set, n int) []int {
	usable := s.Usable(rowsUpTo(s.Data.Len()))
	return usable[:min(n, len(usable))]
}

// rowsUpTo returns 0, 1, …, n−1.
func rowsUpTo(n int) []int {
	rows := make([]int, n)
	for i := range rows {
		rows[i] = i
	}
	return rows
}

// openOldLanguage opens the language model that the starting bridge was trained with.
func (res *resources) openOldLanguage(ctx context.Context, side bridge.Side) (adapters.LanguageModel, error) {
	s, err := res.oldSpec(ctx, side, adapters.KindLanguage)
	if err != nil {
		return nil, err
	}
	s.Isolation, s.Transport = res.recipe.Language.Isolation, res.recipe.Language.Transport
	res.workspace.WarnSideChanges(s, adapters.KindLanguage, side)
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
