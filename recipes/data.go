package recipes

import (
	"errors"
	"math"
	"path/filepath"

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
}

// Source is a table [data.train] or [data.eval]: a data set of the kit, or files in
// LAVIS's layout with captions, questions or both. The id may stand alone:
// train = "kit:train".
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
}

// WithPaths returns the table with the results of a function in place of its paths.
func (d Data) WithPaths(change func(path string) string) Data {
	for _, s := range []*Source{&d.Train, &d.Eval} {
		for _, path := range []*string{&s.Annotations, &s.Questions, &s.Images} {
			if *path != "" {
				*path = change(*path)
			}
		}
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

// captioned reports whether the pictures may have captions.
func (s Source) captioned() bool { return s.Annotations != "" || s.Questions == "" }

// overlaps reports whether two sources have pictures in common for certain.
func (s Source) overlaps(o Source) bool {
	same := func(a, b string) bool { return a != "" && filepath.Clean(a) == filepath.Clean(b) }
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
	r.oneOf(OrientationKey, d.Orientation, string(imaging.ByExif), string(imaging.AsStored))
	r.checkMix()
}

// checkSource returns the number of pictures, or 0 if the recipe alone does not tell it.
func (r *Recipe) checkSource(key string, s Source) (size int) {
	switch {
	case s == Source{}:
		r.doc.Errorf(key, "is missing, want a data set of the kit (\"kit:train\") or a table of annotations and images")
	case s.ID != "":
		r.want(key, s.Annotations == "" && s.Questions == "" && s.Images == "", "has an id and files, want one of the two")
		return r.checkKit(key, s)
	default:
		r.want(key+".images", s.Images != "", "is missing, want the folder of the pictures")
		r.want(key+".annotations", s.Annotations != "" || s.Questions != "",
			"is missing, want a JSON file of image and caption (or %s.questions, one of image, question and answer)", key)
		r.want(key+".pictures", s.Pictures == 0, "is given, but it counts the kit's scenes only")
	}
	return 0
}

// checkMix checks what a batch consists of.
func (r *Recipe) checkMix() {
	d, batch := r.Data, r.Optimizer.Batch
	r.fraction("data.questions", d.Questions)
	r.fraction("data.similar", d.Similar)
	r.want("data.questions", r.Stage != 1 || d.Questions == 0, "is %v, but stage 1 trains on captions alone", d.Questions)
	r.want("data.questions", d.Questions == 0 || d.Train.ID != "" || d.Train.Questions != "",
		"is %v, but data.train has no file of questions", d.Questions)
	r.want("data.similar", int(math.Round(d.Similar*float64(batch))) < max(batch, 1),
		"is %v of optimizer.batch, %d, which is all of it; want at most %d of %[2]d, so that there is one to be similar to", d.Similar, batch, batch-1)
	r.want("data.similar", r.Stage == 1 || d.Similar == 0, "is %v, but only stage 1's ITM uses it", d.Similar)
}

// mix returns what a batch of the plan consists of.
func (d Data) mix() objective.Mix {
	return objective.Mix{Questions: d.Questions, Similar: d.Similar}
}
