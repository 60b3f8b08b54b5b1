package main

import (
	"context"
	"os"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/tokenizer"
	"github.com/modular-bridging/bridge/train"
)

// start returns the bridge that a recipe trains, and how long it took to make
// the start of its projection. plain leaves that fresh: the weights of a
// checkpoint will take its place.
func (b *bench) start(ctx context.Context, r *recipes.Resolved, plain bool) (*bridge.Bridge, time.Duration, error) {
	from, err := b.origin(ctx, r, plain)
	if err != nil {
		return nil, 0, err
	}
	if r.QFormer.Dropout != nil {
		from.SetDropout(*r.QFormer.Dropout)
	}
	from.Info.Project = projectFolder()
	if from.Info.Vision, err = b.visionSide(); err != nil {
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
	joined, spent, err := b.join(ctx, r, from, plain)
	if err != nil {
		return nil, 0, err
	}
	joined.Info.Project = from.Info.Project
	side, err := b.languageSide()
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

// origin loads the bridge that the recipe begins with, or makes a random one.
func (b *bench) origin(ctx context.Context, r *recipes.Resolved, plain bool) (*bridge.Bridge, error) {
	if r.From != "" {
		dir, err := bridgeDir(ctx, r.From)
		if err != nil {
			return nil, err
		}
		from, err := bridge.Load(ctx, b.backend, dir)
		if err != nil {
			return nil, err
		}
		if err := b.program.settleInfo(dir, &from.Info); err != nil {
			from.Close()
			return nil, err
		}
		return b.forEncoder(ctx, r, from, plain)
	}
	path, err := wordsFile(ctx, b.registry, r.QFormer.Tokenizer)
	if err != nil {
		return nil, err
	}
	words, err := bridge.OpenTokenizer(ctx, path)
	if err != nil {
		return nil, noWords(r.QFormer.Tokenizer, path, err)
	}
	config := r.QFormerConfig()
	config.Vocabulary, config.EncoderWidth = words.Vocabulary(), b.vision.Spec().Width
	fresh, err := bridge.New(b.backend, config, words, r.Seed)
	if err != nil || r.QFormer.Init == "" || plain {
		return fresh, err
	}
	if err := fresh.InitFromBERT(b.snapshot(r.QFormer.Init)); err != nil {
		fresh.Close()
		return nil, err
	}
	return fresh, nil
}

// snapshot is the folder of a repository in the Hugging Face cache, or the one
// that name is.
func (b *bench) snapshot(name string) string {
	if dir, ok := b.registry.Snapshot(name, "config.json"); ok {
		return dir
	}
	return name
}

// noWords says how to get a tokenizer that is not there.
func noWords(name, path string, err error) error {
	if _, statErr := os.Stat(path); statErr == nil {
		return err
	}
	return adapters.Errorf(adapters.NotFound, "qformer.tokenizer is %q, and %s is not there", name, path).
		WithRemedy("`bridge models pull %s --files tokenizer.json` fetches it from the Hugging Face hub; or name a folder that holds tokenizer.json", registry.FullName(name))
}

// join begins stage 2 and says how long the projection's start took, features
// not counted.
func (b *bench) join(ctx context.Context, r *recipes.Resolved, from *bridge.Bridge, plain bool) (joined *bridge.Bridge, spent time.Duration, err error) {
	if err := train.CheckLanguage(b.language); err != nil {
		return nil, 0, err
	}
	begin := r.Plan().Start
	same := from.Info.Stage == 2 && from.Info.Language.Digest == b.language.Spec().Digest
	switch {
	case plain:
		begin = train.StartFresh
	case from.Info.Stage == 1 && (begin.NeedsOld() || begin == train.StartKeep):
		b.program.log.Warn("a stage-1 bridge has no projection to carry over: it starts fresh", "from", r.From)
		begin = train.StartFresh
	case same && (r.Swap == nil || begin.NeedsOld()):
		begin = train.StartKeep
	}
	j := train.Join{From: from, Language: b.language, Prompts: r.Templates(), Start: begin, Seed: r.Seed, Log: b.program.log}
	if begin.NeedsOld() {
		old, err := b.oldLanguage(ctx, *from.Info.Language)
		if err != nil {
			return nil, 0, err
		}
		defer b.program.closing(old)()
		j.Old = old
	}
	if begin.NeedsOld() || begin == train.StartCaptionTokens {
		if j.Sample, j.Captions, err = b.sample(ctx, begin); err != nil {
			return nil, 0, err
		}
	}
	began := time.Now()
	joined, err = j.Begin(ctx)
	return joined, time.Since(began), err
}

// sample returns features of some training pictures, and their captions: few to
// measure a norm on, many to fit a projection to.
func (b *bench) sample(ctx context.Context, begin train.Start) (*adapters.Tensor, []string, error) {
	n := 128
	if begin == train.StartCaptionTokens {
		n = 2048
	}
	rows, captions := make([]int, min(n, b.train.Data.Len())), make([]string, min(n, b.train.Data.Len()))
	for i := range rows {
		rows[i] = i
		if all := b.train.Data.Example(i).Captions; len(all) > 0 {
			captions[i] = all[0]
		}
	}
	features, err := b.train.Features.Features(ctx, rows)
	return features, captions, err
}

// oldLanguage opens the language model that the bridge was trained with.
func (b *bench) oldLanguage(ctx context.Context, side bridge.Side) (adapters.LanguageModel, error) {
	o, err := openingOfSide(b.registry, side, adapters.KindLanguage, b.recipe.Run.Backend, b.recipe.Language.Isolation)
	if err != nil {
		return nil, err
	}
	_, w, err := b.oldWishes(ctx)
	if err != nil {
		return nil, err
	}
	o.ask(w)
	o.transport = b.recipe.Language.Transport
	return b.program.openLanguage(ctx, b.registry, o)
}

// oldWishes are what the run from which the recipe starts asks of its plugins.
func (b *bench) oldWishes(ctx context.Context) (vision, language wishes, err error) {
	dir, err := bridgeDir(ctx, b.recipe.From)
	if err != nil {
		return vision, language, err
	}
	return wishesOf(dir)
}

// wordsDigest is the digest of a language model's tokenizer, empty where it has no
// folder of its own.
func wordsDigest(model registry.Backbone) (string, error) {
	if model.Path == "" && model.Source != registry.FromKit {
		return "", nil
	}
	dir, err := model.Folder()
	if err != nil {
		return "", err
	}
	return tokenizer.FolderDigest(dir)
}

// openingOfSide says how the frozen model that a bridge names is opened.
func openingOfSide(reg *registry.Registry, side bridge.Side, kind adapters.ModelKind, backend, isolation string) (opening, error) {
	o := opening{plugin: side.Plugin, wishes: wishes{trained: trainedWith(side)}, isolation: isolation, backend: backend, image: side.Image}
	if err := there(side, kind); err != nil {
		return o, err
	}
	var err error
	switch {
	case side.Path != "" && side.Plugin != "":
		o.model = registry.Backbone{Manifest: registry.Manifest{ID: side.ID}, Source: registry.FromFolder, Path: side.Path}
	case side.Path != "":
		o.model, err = reg.FolderKind(side.Path, kind)
	case side.Plugin != "":
		o.model = registry.Backbone{Manifest: registry.Manifest{ID: side.ID}, Source: registry.FromFolder}
	default:
		o.model, err = reg.LookupKind(side.ID, kind)
	}
	return o, err
}
