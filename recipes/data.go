package recipes

import (
	"errors"
	"math"
	"path/filepath"
	"slices"

	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/imaging"
	"github.com/modular-bridging/bridge/train/objective"
)

// Data is the table [data]: the pictures and texts of the run.
type Data struct {
	// Train is the data that the run trains on. Required.
	Train Source `toml:"train"`
	// Eval is held out: the run is evaluated on it and never trained on it. Required.
	Eval Source `toml:"eval"`
	// Questions is the fraction of examples that are a question and its answer instead
	// of a caption; stage 2 only. Default 0.
	Questions float64 `toml:"questions"`
	// Similar is the fraction of a batch that shares a word with the rest of it, so that
	// ITM meets negatives that are hard to tell; stage 1 only. Default 0.
	Similar float64 `toml:"similar"`
	// CaptionProcessing is "none" or "blip" (captions and questions in lower case, without
	// punctuation, at most 50 words). Default "none".
	CaptionProcessing string `toml:"caption_processing"`
	// MaxTextTokens is the most tokens of a caption, a prefix, an answer or a question, in the
	// tokenizer of the language model or, in stage 1, of the Q-Former. The end of a text is
	// counted; in stage 1 its beginning, too, and 32 is the most. Longer texts are cut. 0 cuts
	// only what the models cannot read. Default 32.
	MaxTextTokens int `toml:"max_text_tokens"`
	// Orientation is "exif" (a picture is turned as its Exif or XMP data says, as
	// transformers' load_image does) or "ignore" (it is as its pixels are stored, as in
	// LAVIS). Default "exif"; "ignore" in the folder of a run that recorded none.
	Orientation string `toml:"orientation"`
	// MaxBad is how many pictures of a data set may fail (their file cannot be read, or the
	// encoder refuses them) before the run ends: a count, or a percentage of the pictures
	// such as "1%". Those that fail are left out. Default 1 %, but never fewer than 10.
	MaxBad data.MaxBad `toml:"max_bad,omitempty"`
	// Augment is "none" or "blip2": a random part of each training picture, with half to all
	// of its area, and left and right change places in half of the pictures, as BLIP-2 was
	// trained. It excludes run.feature_cache. Default "none".
	Augment string `toml:"augment,omitempty"`
	// TextOnly is "train" (records of a source that have no picture are trained on) or
	// "refuse" (they count as records that cannot be used). Default "refuse".
	TextOnly string `toml:"text_only,omitempty"`
}

// Source is a table [data.train] or [data.eval]: a data set of the kit, files in LAVIS's
// layout with captions, questions or both, a source of any format, or a mixture of sources. The
// id may stand alone: train = "kit:train".
type Source struct {
	// ID is a data set of the kit, "kit:" and a split of package kit: "kit:train" and
	// "kit:three-train" to train on, "kit:held-out", "kit:choose", "kit:report", "kit:style" and
	// "kit:three" to measure with. It excludes the files below.
	ID string `toml:"id,omitempty"`
	// Pictures is how many of the kit's scenes are taken, the first ones. Default 0: all.
	Pictures int `toml:"pictures,omitzero"`
	// Annotations is a JSON file of image, caption and image_id: a list, or a line for each
	// entry. docs/annotations.md has the details.
	Annotations string `toml:"annotations,omitempty"`
	// Questions is a JSON file of image, question and answer. A list of answers holds those of
	// several people.
	Questions string `toml:"questions,omitempty"`
	// Images is the folder that the names of pictures in the files are relative to.
	Images string `toml:"images,omitempty"`

	// Source names files of any format that docs/data.md lists: a path, a brace list
	// ("shards/{00000..01743}.tar"), or a list of them. It excludes annotations and questions.
	Source Paths `toml:"source,omitempty"`
	// Format is the name of the format of Source. Default: that of the content.
	Format string `toml:"format,omitempty"`
	// Mix is a mixture of sources, tables [[data.train.mix]]. It excludes source; training
	// data only.
	Mix []MixSource `toml:"mix,omitempty"`
	// Batches is "mixed" (each record of a batch is of a source of its own) or "one-source"
	// (each batch is of one source), of a mixture. Default "mixed".
	Batches string `toml:"batches,omitempty"`
}

// MixSource is a table [[data.train.mix]]: a source of a mixture.
type MixSource struct {
	Source Paths  `toml:"source"`           // as in [Source]. Required
	Images string `toml:"images,omitempty"` // as in [Source]
	Format string `toml:"format,omitempty"` // as in [Source]
	// Weight is a number relative to those of the other sources, or "size" (the number of
	// records) or "sqrt-size" (its square root), for all sources the same word. Default
	// "size".
	Weight Weight `toml:"weight,omitempty"`
}

// Paths are paths and brace lists. In a recipe one may stand alone.
type Paths []string

// UnmarshalText reads a path that stands alone.
func (p *Paths) UnmarshalText(text []byte) error {
	*p = Paths{string(text)}
	return nil
}

// Wanted says what a recipe may hold.
func (Paths) Wanted() string { return "a path, a brace list, or a list of them" }

// Weight is a number, or a word for one.
type Weight string

// UnmarshalText reads a weight that is given as a number.
func (w *Weight) UnmarshalText(text []byte) error {
	*w = Weight(text)
	return nil
}

// Wanted says what a recipe may hold.
func (Weight) Wanted() string { return `a number, "size" or "sqrt-size"` }

// WithPaths returns the table with the results of a function in place of its paths.
func (d Data) WithPaths(change func(path string) string) Data {
	for _, s := range []*Source{&d.Train, &d.Eval} {
		*s = s.withPaths(change)
	}
	return d
}

func defaultData() Data {
	return Data{CaptionProcessing: "none", MaxTextTokens: 32, Orientation: string(imaging.ByExif)}
}

// UnmarshalText reads a source that is given as its id.
func (s *Source) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New(`is empty, want an id such as "kit:train" or a table`)
	}
	*s = Source{ID: string(text)}
	return nil
}

// augmentNone is the value of Data.Augment for none.
const augmentNone = "none"

// augmentation returns the augmentation of a phase.
func (d Data) augmentation() data.Augmentation {
	if d.Augment == augmentNone {
		return data.NoAugmentation
	}
	return data.Augmentation(d.Augment)
}

// checkAugment reports an augmentation beside features that are computed once.
func (r *Recipe) checkAugment() {
	if r.Data.augmentation() == data.NoAugmentation {
		return
	}
	const why = "is %v, but data.augment is %q: cached features hold one version of each picture"
	r.want("data.augment", !r.Run.FeatureCache, "is %q, but run.feature_cache holds one version of each picture; set one of the two to none or false", r.Data.Augment)
	r.want("run.feature_cache", !r.Run.FeatureCache || !r.doc.Has("run.feature_cache"), why, true, r.Data.Augment)
	r.want("data.augment", r.Swap == nil || r.Swap.WarmupImages == 0, "is %q, but swap.warmup_images are cached once as they are; set it to 0", r.Data.Augment)
}

// The values of Data.TextOnly.
const (
	TextOnlyTrain  = "train"
	TextOnlyRefuse = "refuse"
)

// captioned reports whether the pictures may have captions.
func (s Source) captioned() bool { return s.Annotations != "" || s.Questions == "" }

// overlaps reports whether two sources have pictures in common for certain.
func (s Source) overlaps(o Source) bool {
	same := func(a, b string) bool { return a != "" && filepath.Clean(a) == filepath.Clean(b) }
	for _, a := range s.allPaths() {
		if slices.ContainsFunc(o.allPaths(), func(b string) bool { return same(a, b) }) {
			return true
		}
	}
	return same(s.ID, o.ID) || same(s.Annotations, o.Annotations) || same(s.Questions, o.Questions)
}

func (r *Recipe) checkData() {
	d, batch := r.Data, r.Optimizer.Batch
	if size := r.checkSource("data.train", d.Train); size > 0 && d.Train.Pictures > 0 {
		r.want("data.train.pictures", size >= batch, "is %d, want at least optimizer.batch, %d", size, batch)
	} else if size > 0 {
		r.want("optimizer.batch", size >= batch, "is %d, want at most %d, the pictures of %s", batch, size, d.Train.ID)
	}
	r.checkSource("data.eval", d.Eval)
	r.want("data.eval", !d.Eval.overlaps(d.Train), "is the same data as data.train, want data that is held out of training")
	r.want("data.train.annotations", d.Questions > 0 || d.Train.captioned(),
		"is missing, but without data.questions a run trains on captions alone")
	r.want("data.eval.annotations", r.Stage != 1 || d.Eval.captioned(), "is missing, but stage 1 is measured on captions")
	r.want("data.max_text_tokens", d.MaxTextTokens == 0 || d.MaxTextTokens > 1,
		"is %d, want at least 2 (the end of an answer is counted), or 0 for no limit", d.MaxTextTokens)
	if _, err := d.MaxBad.Of(0); err != nil {
		r.doc.Errorf("data.max_bad", "%v", err)
	}
	r.oneOf("data.caption_processing", d.CaptionProcessing, "none", "blip")
	if d.Augment != "" {
		r.oneOf("data.augment", d.Augment, augmentNone, string(data.AugmentBLIP2))
	}
	r.checkAugment()
	if d.TextOnly != "" {
		r.oneOf("data.text_only", d.TextOnly, TextOnlyRefuse, TextOnlyTrain)
	}
	r.checkTextOnly()
	r.oneOf(OrientationKey, d.Orientation, string(imaging.ByExif), string(imaging.AsStored))
	r.checkMix()
}

// checkSource returns the number of pictures, or 0 if the recipe alone does not tell it.
func (r *Recipe) checkSource(key string, s Source) (size int) {
	switch {
	case s.IsZero():
		r.doc.Errorf(key, "is missing, want a data set of the kit (\"kit:train\"), or a table with source, or with annotations and images")
	case s.ID != "":
		r.want(key, s.Annotations == "" && s.Questions == "" && s.Images == "" && !s.Lazy(), "has an id and files, want one of the two")
		return r.checkKit(key, s)
	case s.Lazy():
		r.checkLazy(key, s)
	default:
		r.want(key+".images", s.Images != "", "is missing, want the folder of the pictures")
		r.want(key+".annotations", s.Annotations != "" || s.Questions != "",
			"is missing, want a JSON file of image and caption (or %s.questions, one of image, question and answer)", key)
		r.want(key+".pictures", s.Pictures == 0, "is given, but it counts the kit's scenes only")
	}
	r.want(key+".format", s.Format == "" || len(s.Source) > 0, "is given, but there is no %s.source", key)
	r.want(key+".batches", s.Batches == "" || len(s.Mix) > 0, "is given, but there is no mixture, tables [[%s.mix]]", key)
	return 0
}

// checkMix checks what a batch consists of.
func (r *Recipe) checkMix() {
	d, batch := r.Data, r.Optimizer.Batch
	r.fraction("data.questions", d.Questions)
	r.fraction("data.similar", d.Similar)
	r.want("data.questions", r.Stage != 1 || d.Questions == 0, "is %v, but stage 1 trains on captions alone", d.Questions)
	r.want("data.questions", d.Questions == 0 || d.Train.ID != "" || d.Train.Questions != "" || d.Train.Lazy(),
		"is %v, but data.train has no file of questions", d.Questions)
	r.want("data.similar", int(math.Round(d.Similar*float64(batch))) < max(batch, 1),
		"is %v of optimizer.batch, %d, which is all of it; want at most %d of %[2]d, so that there is one to be similar to", d.Similar, batch, batch-1)
	r.want("data.similar", d.Similar == 0 || len(d.Train.Mix) == 0, "is %v, but a mixture has no similar records: its sources are drawn by their shares", d.Similar)
	r.want("data.similar", r.Stage == 1 || d.Similar == 0, "is %v, but only stage 1's ITM uses it", d.Similar)
}

// mix returns what a batch of the plan consists of.
func (d Data) mix() objective.Mix {
	return objective.Mix{Questions: d.Questions, Similar: d.Similar}
}
