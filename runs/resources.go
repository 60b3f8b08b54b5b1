package runs

import (
	"context"
	"path/filepath"
	"slices"

	"github.com/gomlx/compute"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/featurecache"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/plugins/lockfile"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/cost"
	"github.com/modular-bridging/bridge/workspace"
)

// resources are the frozen models, data and features of a run. Runs with the same models and
// data share them.
type resources struct {
	workspace *workspace.Workspace
	recipe    *recipes.Resolved
	backend   compute.Backend
	vision    adapters.VisionEncoder
	language  adapters.LanguageModel // nil in stage 1
	train     train.Set
	eval      train.Set
	also      []train.Set // further sets of the last evaluation
	meter     *cost.Meter // counts for the run at hand; nil between runs
	closers   []func()
	locked    *lockfile.Lock // result of the method lock; nil before its first call

	resumed string                 // folder of the run that continues; empty for a new run
	whole   map[split]data.Dataset // the recipe's data sets, with all pictures
}

// openToTrain is openResources for a run that trains: this machine must have the memory that it takes.
func openToTrain(ctx context.Context, w *workspace.Workspace, r *recipes.Resolved, resumed string) (*resources, error) {
	if err := checkWeights(ctx, w, r); err != nil {
		return nil, err
	}
	if err := CheckMemory(ctx, w, r); err != nil {
		return nil, err
	}
	return openResources(ctx, w, r, resumed)
}

// openResources opens the frozen models and data of a recipe. Steps that fail slowly come last.
// If a run continues, resumed is its folder: its data sets have the rows that they had when the
// run was started.
func openResources(ctx context.Context, w *workspace.Workspace, r *recipes.Resolved, resumed string) (*resources, error) {
	if err := checkWeights(ctx, w, r); err != nil {
		return nil, err
	}
	res := &resources{workspace: w, recipe: r, resumed: resumed, whole: map[split]data.Dataset{}}
	if err := res.open(ctx); err != nil {
		res.close()
		return nil, err
	}
	return res, nil
}

func (res *resources) open(ctx context.Context) error {
	err := backends.LimitGPUMemory(res.recipe.Run.GPUMemory)
	if err != nil {
		return err
	}
	if res.backend, err = backends.Open(res.recipe.Run.Backend); err != nil {
		return err
	}
	res.workspace.Log().Info("backend", "for", "the Q-Former", "is", backends.Summary(res.backend))
	backends.LogXLACaches(res.workspace.Log())
	kept, err := res.keptSides(ctx)
	if err != nil {
		return err
	}
	if err := res.openLanguage(ctx, kept); err != nil { // first, because its weights are missing most often
		return err
	}
	if err := res.openVision(ctx, kept); err != nil {
		return err
	}
	return res.openData(ctx)
}

func (res *resources) openLanguage(ctx context.Context, kept bridge.Info) error {
	r := res.recipe
	if r.Language == nil {
		return nil
	}
	s := workspace.SpecForRecipe(*r.LanguageModel, r.Language.Backbone, r.Run.Backend)
	if kept.Language != nil {
		s.Constraints.Trained = workspace.TrainedPlugin(*kept.Language)
	}
	var err error
	if res.language, err = res.workspace.OpenLanguage(ctx, s); err == nil {
		res.closers = append(res.closers, res.workspace.Closer(res.language))
	}
	return err
}

func (res *resources) openVision(ctx context.Context, kept bridge.Info) error {
	r := res.recipe
	s := workspace.SpecForRecipe(r.VisionModel, r.Vision.Backbone, r.Run.Backend)
	s.Constraints.Trained = workspace.TrainedPlugin(kept.Vision)
	s.FeatureLayer = r.Vision.FeatureLayer
	s.ImageSize = adapters.Size{Width: r.Vision.ImageSize, Height: r.Vision.ImageSize}
	var err error
	if res.vision, err = res.workspace.OpenVision(ctx, s); err == nil {
		res.closers = append(res.closers, res.workspace.Closer(res.vision))
	}
	return err
}

func (res *resources) openData(ctx context.Context) error {
	d := res.recipe.Data
	var err error
	if res.train, err = res.openSet(ctx, trainSplit, d.Train); err != nil {
		return err
	}
	if d.Questions == 0 {
		if err := res.dropQuestions(); err != nil {
			return err
		}
	}
	if res.eval, err = res.openSet(ctx, evalSplit, d.Eval); err != nil {
		return err
	}
	for _, id := range res.recipe.Evaluation.Also {
		set, err := res.openAlso(ctx, id)
		if err != nil {
			return err
		}
		res.also = append(res.also, set)
	}
	return nil
}

// openAlso opens a further set of the last evaluation, one of the kit's, and its features.
func (res *resources) openAlso(ctx context.Context, id string) (train.Set, error) {
	d, _, err := OpenSource(ctx, res.workspace, recipes.Source{ID: id}, res.recipe.Data, res.vision.Spec().Image, nil)
	if err != nil {
		return train.Set{}, err
	}
	set := train.Set{Data: d, LeftOut: &data.LeftOutList{Data: d.Name(), Pictures: d.Len(), Max: res.recipe.Data.MaxBad, Log: res.workspace.Log()}}
	set.Features, err = res.openFeatures(d)
	return set, err
}

// keptSides returns the frozen models of the starting bridge that the recipe does not swap.
// Swapped sides are zero.
func (res *resources) keptSides(ctx context.Context) (bridge.Info, error) {
	r := res.recipe
	if r.From == "" {
		return bridge.Info{}, nil
	}
	info, err := res.workspace.BridgeInfo(ctx, r.From)
	if r.Swap != nil {
		info.Language = nil
		if r.Swap.Encoder != "" {
			info.Vision = bridge.Side{}
		}
	}
	return info, err
}

// dropQuestions removes the training pictures that have questions but no caption, because the
// recipe does not train on questions.
func (res *resources) dropQuestions() error {
	captioned, dropped := train.WithCaptions(res.train)
	if captioned.Data.Len() == 0 {
		return adapters.Errorf(adapters.Invalid, "%s: none of %d pictures has a caption, and the recipe does not train on questions",
			res.train.Data.Name(), dropped).
			WithRemedy("set data.questions above 0, or add captions")
	}
	if dropped > 0 {
		res.workspace.Log().Warn("pictures without a caption are not used; set data.questions above 0 to use their questions",
			"not used", dropped, "used", captioned.Data.Len())
	}
	res.train = captioned
	return nil
}

// close closes everything, the last opened first.
func (res *resources) close() {
	for _, c := range slices.Backward(res.closers) {
		c()
	}
}

// openSet opens a data set and its features.
func (res *resources) openSet(ctx context.Context, which split, s recipes.Source) (train.Set, error) {
	d, list, err := res.dataset(ctx, which, s)
	if err != nil {
		return train.Set{}, err
	}
	res.whole[which] = d
	features, err := res.openFeatures(d)
	return train.Set{Data: d, Features: features, LeftOut: list}, err
}

// openFeatures returns the features of a data set, from the cache unless the recipe has none.
func (res *resources) openFeatures(d data.Dataset) (featurecache.Features, error) {
	encoder := res.counted(res.vision)
	if !res.recipe.Run.FeatureCache {
		return featurecache.NewUncached(encoder, d), nil
	}
	l, err := res.lock()
	if err != nil {
		return nil, err
	}
	folder := filepath.Join(workspace.CacheDir(), "features")
	cache, err := featurecache.Open(folder, encoder, d, featurecache.Options{Model: registry.FeatureKey(l.Vision), Log: res.workspace.Log()})
	if err != nil {
		return nil, err
	}
	res.closers = append(res.closers, res.workspace.Closer(cache))
	return cache, nil
}

// prefetch computes the features of rows that are not cached, and shows progress. It leaves out
// pictures that fail.
func (res *resources) prefetch(ctx context.Context, s train.Set, rows []int) error {
	f, ok := s.Features.(featurecache.Prefetcher)
	if !ok || len(rows) == 0 {
		return nil
	}
	task := res.workspace.Progress().Start("features of "+s.Data.Name(), len(rows), 0)
	defer task.Done()
	done := 0
	for part := range slices.Chunk(rows, 512) {
		read := func() ([]int, error) { return s.Usable(part), f.Prefetch(ctx, s.Usable(part)) }
		if err := s.Retry(func() error { return res.countCached(read) }); err != nil {
			return err
		}
		done += len(part)
		task.Step(done, 0, 0)
	}
	return nil
}

// lock returns the lock of the open models. It reads their files once.
func (res *resources) lock() (lockfile.Lock, error) {
	if res.locked != nil {
		return *res.locked, nil
	}
	r := res.recipe
	var l lockfile.Lock
	var err error
	if l.Vision, err = r.VisionModel.VisionEntry(res.vision.Spec(), r.Vision.Plugin); err != nil {
		return l, err
	}
	if res.language != nil {
		entry, err := r.LanguageModel.Entry(res.language.Spec().Spec, r.Language.Plugin)
		if err != nil {
			return l, err
		}
		l.Language = &entry
	}
	res.locked = &l
	return l, nil
}
