package recipes

import (
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/formats"
)

// IsZero reports whether a source says nothing.
func (s Source) IsZero() bool { return s.Equal(Source{}) }

// Equal reports whether two sources say the same.
func (s Source) Equal(o Source) bool { return reflect.DeepEqual(s, o) }

// Lazy reports whether the records of a source are read when they are drawn: it has the key
// source, or a mixture.
func (s Source) Lazy() bool { return len(s.Source) > 0 || len(s.Mix) > 0 }

// Sources returns the sources of a table, as package formats opens them: those of the mixture,
// or the one of the key source.
func (s Source) Sources() []formats.Source {
	if len(s.Mix) == 0 {
		return []formats.Source{{Files: s.Source, Images: s.Images, Format: s.Format}}
	}
	all := make([]formats.Source, len(s.Mix))
	for i, m := range s.Mix {
		all[i] = formats.Source{Files: m.Source, Images: m.Images, Format: m.Format}
	}
	return all
}

// The values of Source.Batches.
const (
	BatchesMixed     = "mixed"
	BatchesOneSource = "one-source"
)

// mixture returns the mixture of a plan; nil if there is none. check has verified the weights.
func (s Source) mixture() *data.Mix {
	if len(s.Mix) == 0 {
		return nil
	}
	mix := &data.Mix{OneSource: s.Batches == BatchesOneSource}
	if word := s.Mix[0].word(); word != "" {
		mix.By = word
		return mix
	}
	for _, m := range s.Mix {
		weight, _ := m.number()
		mix.Weights = append(mix.Weights, weight)
	}
	return mix
}

// word returns the word for a weight; empty if it is a number.
func (m MixSource) word() string {
	switch m.Weight {
	case "", data.BySize:
		return data.BySize
	case data.BySqrtSize:
		return data.BySqrtSize
	}
	return ""
}

// number returns a weight that is a number.
func (m MixSource) number() (weight float64, ok bool) {
	weight, err := strconv.ParseFloat(string(m.Weight), 64)
	return weight, err == nil && weight > 0 && !math.IsInf(weight, 0)
}

// checkLazy checks a table with the key source, or with a mixture.
func (r *Recipe) checkLazy(key string, s Source) {
	r.want(key, s.Annotations == "" && s.Questions == "",
		"has annotations or questions, and a source; want one of the two ways to name files")
	r.want(key+".source", len(s.Source) == 0 || len(s.Mix) == 0, "is given beside a mixture, want one of the two")
	r.want(key+".images", s.Images == "" || len(s.Mix) == 0, "is given beside a mixture, want it in the tables [[%s.mix]]", key)
	r.want(key+".pictures", s.Pictures == 0, "is given, but it counts the kit's scenes only")
	r.want(key+".mix", len(s.Mix) == 0 || key == "data.train", "is given, but only data.train may be a mixture: evaluations take the first records")
	if s.Batches != "" {
		r.oneOf(key+".batches", s.Batches, BatchesMixed, BatchesOneSource)
	}
	r.checkFiles(key, s.Source, s.Format)
	for i, m := range s.Mix {
		at := key + ".mix[" + strconv.Itoa(i) + "]"
		r.want(at, len(m.Source) > 0, "has no source, want a path, a brace list, or a list of them")
		r.checkFiles(at, m.Source, m.Format)
		_, isNumber := m.number()
		r.want(at, isNumber || m.word() != "", "has the weight %q, want a number above 0, %q or %q", string(m.Weight), data.BySize, data.BySqrtSize)
		r.want(at, m.word() == s.Mix[0].word(), "has the weight %q, but mix[0] has %q; want numbers for all sources, or one word",
			string(m.Weight), string(s.Mix[0].Weight))
	}
}

// checkFiles checks the paths and the format of a source.
func (r *Recipe) checkFiles(key string, files Paths, format string) {
	r.want(key+".source", !slices.Contains(files, ""), "has an empty path")
	for _, path := range files {
		checkPath(r.doc, key+".source", path)
	}
	if format != "" {
		r.oneOf(key+".format", format, formats.Names()...)
	}
}

// checkTextOnly checks what cannot be done with records that have no picture.
func (r *Recipe) checkTextOnly() {
	if r.Data.TextOnly != TextOnlyTrain {
		return
	}
	const key = "data.text_only"
	r.want(key, r.Data.Train.Lazy(), "is %q, but only a source may have records without a picture (data.train.source)", TextOnlyTrain)
	r.want(key, r.Stage == 2, "is %q, but stage 1 trains on pictures and captions", TextOnlyTrain)
	r.want(key, !r.Run.FeatureCache, "is %q, but run.feature_cache holds a picture of each record; set it to false", TextOnlyTrain)
	r.want(key, r.Swap == nil || r.Swap.WarmupSteps == 0, "is %q, but the projector's warm-up needs a picture of each record; set swap.warmup_steps = 0", TextOnlyTrain)
}

// withPaths returns the source with the results of a function in place of its paths.
func (s Source) withPaths(change func(path string) string) Source {
	apply := func(path string) string {
		if path == "" {
			return ""
		}
		return change(path)
	}
	all := func(paths Paths) Paths {
		changed := slices.Clone(paths)
		for i, path := range changed {
			changed[i] = changeList(path, apply)
		}
		return changed
	}
	s.Annotations, s.Questions, s.Images, s.Source = apply(s.Annotations), apply(s.Questions), apply(s.Images), all(s.Source)
	s.Mix = slices.Clone(s.Mix)
	for i, m := range s.Mix {
		s.Mix[i].Source, s.Mix[i].Images = all(m.Source), apply(m.Images)
	}
	return s
}

// changeList applies a function to the paths of a list that "::" joins. Words that are no paths
// stay: URLs, commands, and names of environment variables.
func changeList(list string, change func(path string) string) string {
	parts := strings.Split(list, "::")
	for i, part := range parts {
		if !strings.Contains(part, "://") && !strings.HasPrefix(part, "pipe:") && !strings.HasPrefix(part, "${") {
			parts[i] = change(part)
		}
	}
	return strings.Join(parts, "::")
}

// absolute returns the source with absolute paths.
func (s Source) absolute() (out Source, err error) {
	out = s.withPaths(func(path string) string {
		abs, absErr := filepath.Abs(path)
		if absErr != nil {
			err = absErr
		}
		return abs
	})
	return out, err
}

// allPaths returns the paths and brace lists of a source and of its mixture.
func (s Source) allPaths() []string {
	all := slices.Clone([]string(s.Source))
	for _, m := range s.Mix {
		all = append(all, m.Source...)
	}
	return all
}
