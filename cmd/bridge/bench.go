package main

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
)

// bench is what a training borrows: frozen models, data and features. Several
// runs of one recipe's models and data share it.
type bench struct {
	program  *program
	registry *registry.Registry
	recipe   *recipes.Resolved
	backend  compute.Backend
	vision   adapters.VisionEncoder
	language adapters.LanguageModel // nil in stage 1
	train    train.Set
	held     train.Set
	closers  []func()
	locked   *lockfile.Lock // what lock has found
}

// openBench opens all that the recipe names. What is slow to fail comes last.
func (p *program) openBench(ctx context.Context, r *recipes.Resolved) (*bench, error) {
	reg, err := p.registry(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.weightsThere(ctx, reg, r); err != nil {
		return nil, err
	}
	b := &bench{program: p, registry: reg, recipe: r}
	if err := b.open(ctx); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) open(ctx context.Context) error {
	var err error
	r, p := b.recipe, b.program
	if b.backend, err = backends.Open(r.Run.Backend); err != nil {
		return err
	}
	p.log.Info("backend", "for", "the Q-Former", "is", backends.Summary(b.backend))
	from, err := b.kept(ctx)
	if err != nil {
		return err
	}
	if r.Language != nil { // first, for its weights are the ones most often missing
		o := openingOf(*r.LanguageModel, r.Language.Backbone, r.Run.Backend)
		if from.Language != nil {
			o.wishes.trained = trainedWith(*from.Language)
		}
		if b.language, err = p.openLanguage(ctx, b.registry, o); err != nil {
			return err
		}
		b.closers = append(b.closers, p.closing(b.language))
	}
	o := openingOf(r.VisionModel, r.Vision.Backbone, r.Run.Backend)
	o.wishes.trained = trainedWith(from.Vision)
	o.layer = r.Vision.FeatureLayer
	o.image = adapters.Size{Width: r.Vision.ImageSize, Height: r.Vision.ImageSize}
	if b.vision, err = p.openVision(ctx, b.registry, o); err != nil {
		return err
	}
	b.closers = append(b.closers, p.closing(b.vision))
	if b.train, err = b.set(r.Data.Train); err != nil {
		return err
	}
	if r.Data.Questions == 0 {
		if err := b.withoutQuestions(); err != nil {
			return err
		}
	}
	b.held, err = b.set(r.Data.Eval)
	return err
}

// kept returns what the recipe keeps of the frozen models that the bridge was
// trained with from which it starts; what it swaps is zero.
func (b *bench) kept(ctx context.Context) (bridge.Info, error) {
	r := b.recipe
	if r.From == "" {
		return bridge.Info{}, nil
	}
	info, err := b.program.infoOf(ctx, r.From)
	if r.Swap != nil {
		info.Language = nil
		if r.Swap.Encoder != "" {
			info.Vision = bridge.Side{}
		}
	}
	return info, err
}

// withoutQuestions leaves out pictures of which only questions are asked, where
// the recipe asks none.
func (b *bench) withoutQuestions() error {
	captioned, left := train.WithCaptions(b.train)
	if captioned.Data.Len() == 0 {
		return adapters.Errorf(adapters.Invalid, "%s: none of %d pictures has a caption, and the recipe asks no questions", b.train.Data.Name(), left).
			WithRemedy("set data.questions above 0, or give captions")
	}
	if left > 0 {
		b.program.log.Warn("pictures without a caption are left out; data.questions above 0 would use them", "left out", left, "used", captioned.Data.Len())
	}
	b.train = captioned
	return nil
}

// close gives everything back, the last opened first.
func (b *bench) close() {
	for i := len(b.closers) - 1; i >= 0; i-- {
		b.closers[i]()
	}
}

// set opens a data set and its features.
func (b *bench) set(s recipes.Source) (train.Set, error) {
	d, err := b.dataset(s, b.vision.Spec().Image)
	if err != nil {
		return train.Set{}, err
	}
	if !b.recipe.Run.FeatureCache {
		return train.Set{Data: d, Features: fresh{b.vision, d}}, nil
	}
	c, err := featurecache.Open(filepath.Join(cacheDir(), "features"), b.vision, d, featurecache.Options{Log: b.program.log})
	if err != nil {
		return train.Set{}, err
	}
	b.closers = append(b.closers, b.program.closing(c))
	return train.Set{Data: d, Features: c}, nil
}

// dataset opens a data set at an encoder's size.
func (b *bench) dataset(s recipes.Source, image adapters.ImageSpec) (data.Dataset, error) {
	d, broken, err := openSource(s, b.recipe.Data.CaptionProcessing == "blip", image)
	const shown = 5
	for _, problem := range broken[:min(shown, len(broken))] {
		b.program.log.Warn("picture left out", "reason", problem)
	}
	if more := len(broken) - shown; more > 0 {
		b.program.log.Warn("further pictures left out", "number", more)
	}
	return d, err
}

// openSource opens a recipe's data set; broken are the pictures that are left out.
func openSource(s recipes.Source, process bool, image adapters.ImageSpec) (d data.Dataset, broken []error, err error) {
	if s.ID != "" {
		d, err = data.OpenKit(kit.Split(s.ID[len("kit:"):]), s.Pictures, image)
		return d, nil, err
	}
	return data.OpenFiles(data.Files{Captions: s.Annotations, Questions: s.Questions, Images: s.Images, Process: process}, image)
}

// fill computes those of a set's features that are not cached yet, with
// progress.
func (b *bench) fill(ctx context.Context, s train.Set, rows []int) error {
	f, ok := s.Features.(featurecache.Prefetcher)
	if !ok || len(rows) == 0 {
		return nil
	}
	task := b.program.progress().Start("features of "+s.Data.Name(), len(rows), 0)
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

// lock says what the bench uses. The files are read once.
func (b *bench) lock() (lockfile.Lock, error) {
	if b.locked != nil {
		return *b.locked, nil
	}
	var l lockfile.Lock
	var err error
	if l.Vision, err = b.recipe.VisionModel.Entry(b.vision.Spec().Spec, b.recipe.Vision.Plugin); err != nil {
		return l, err
	}
	if b.language != nil {
		entry, err := b.recipe.LanguageModel.Entry(b.language.Spec().Spec, b.recipe.Language.Plugin)
		if err != nil {
			return l, err
		}
		l.Language = &entry
	}
	b.locked = &l
	return l, nil
}

// fresh encodes pictures whenever their features are asked for.
type fresh struct {
	encoder adapters.VisionEncoder
	data    data.Dataset
}

var _ featurecache.Features = fresh{}

// Features implements [train.Features].
func (f fresh) Features(ctx context.Context, indices []int) (*adapters.Tensor, error) {
	var pictures [][]uint8
	for _, i := range indices {
		picture, err := f.data.Image(i)
		if err != nil {
			return nil, err
		}
		pictures = append(pictures, picture)
	}
	resp, err := f.encoder.Encode(ctx, &adapters.EncodeRequest{Images: stack(pictures, f.encoder.Spec().Image)})
	if err != nil {
		return nil, err
	}
	return resp.Features, nil
}

// stack returns pictures of one size as uint8[B, H, W, 3].
func stack(pictures [][]uint8, spec adapters.ImageSpec) *adapters.Tensor {
	t := adapters.NewTensor(adapters.Uint8, len(pictures), spec.Height, spec.Width, 3)
	for i, picture := range pictures {
		copy(t.Row(i).Data, picture)
	}
	return t
}
