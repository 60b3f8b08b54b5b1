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
	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/plugins/lockfile"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/train"
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
	closers   []func()
	locked    *lockfile.Lock // result of the method lock; nil before its first call
}

// openResources opens the frozen models and data of a recipe. Steps that fail slowly come last.
func openResources(ctx context.Context, w *workspace.Workspace, r *recipes.Resolved) (*resources, error) {
	if err := checkWeights(ctx, w, r); err != nil {
		return nil, err
	}
	res := &resources{workspace: w, recipe: r}
	if err := res.open(ctx); err != nil {
		res.close()
		return nil, err
	}
	return res, nil
}

func (res *resources) open(ctx context.Context) error {
	var err error
	if res.backend, err = backends.Open(res.recipe.Run.Backend); err != nil {
		return err
	}
	res.workspace.Log().Info("backend", "for", "the Q-Former", "is", backends.Summary(res.backend))
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
	return res.openData()
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

func (res *resources) openData() error {
	d := res.recipe.Data
	var err error
	if res.train, err = res.openSet(d.Train); err != nil {
		return err
	}
	if d.Questions == 0 {
		if err := res.dropQuestions(); err != nil {
			return err
		}
	}
	res.eval, err = res.openSet(d.Eval)
	return err
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
func (res *resources) openSet(s recipes.Source) (train.Set, error) {
	d, err := res.dataset(s, res.vision.Spec().Image)
	if err != nil {
		return train.Set{}, err
	}
	if !res.recipe.Run.FeatureCache {
		return train.Set{Data: d, Features: featurecache.Uncached{Encoder: res.vision, Pictures: d}}, nil
	}
	l, err := res.lock()
	if err != nil {
		return train.Set{}, err
	}
	folder := filepath.Join(workspace.CacheDir(), "features")
	cache, err := featurecache.Open(folder, res.vision, d, featurecache.Options{Model: registry.FeatureKey(l.Vision), Log: res.workspace.Log()})
	if err != nil {
		return train.Set{}, err
	}
	res.closers = append(res.closers, res.workspace.Closer(cache))
	return train.Set{Data: d, Features: cache}, nil
}

// dataset opens a data set at an encoder's picture size. It warns of pictures that cannot be
// read and omits them.
func (res *resources) dataset(s recipes.Source, image adapters.ImageSpec) (data.Dataset, error) {
	d, broken, err := OpenSource(s, res.recipe.Data, image)
	const shown = 5
	for _, problem := range broken[:min(shown, len(broken))] {
		res.workspace.Log().Warn("picture skipped", "reason", problem)
	}
	if more := len(broken) - shown; more > 0 {
		res.workspace.Log().Warn("more pictures skipped", "number", more)
	}
	if err == nil {
		for _, text := range data.Warnings(d) {
			res.workspace.Log().Warn("annotations: " + text)
		}
	}
	return d, err
}

// OpenSource opens a recipe's data set at a picture size. table says how captions and pictures are
// prepared. broken has an error for each picture that is omitted.
func OpenSource(s recipes.Source, table recipes.Data, image adapters.ImageSpec) (d data.Dataset, broken []error, err error) {
	if s.ID != "" {
		d, err = data.OpenKit(kit.Split(s.ID[len("kit:"):]), s.Pictures, image)
		return d, nil, err
	}
	return data.OpenFiles(files(s, table), image)
}

// prefetch computes the features of rows that are not cached, and shows progress.
func (res *resources) prefetch(ctx context.Context, s train.Set, rows []int) error {
	f, ok := s.Features.(featurecache.Prefetcher)
	if !ok || len(rows) == 0 {
		return nil
	}
	task := res.workspace.Progress().Start("features of "+s.Data.Name(), len(rows), 0)
	defer task.Done()
	done := 0
	for part := range slices.Chunk(rows, 512) {
		if err := f.Prefetch(ctx, part); err != nil {
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
