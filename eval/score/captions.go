package score

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/eval/metrics"
	"github.com/modular-bridging/bridge/eval/metrics/jars"
	"github.com/modular-bridging/bridge/eval/metrics/ptb"
)

// The tokenizers of captions.
const (
	TokenizerPTB    = "ptb"     // native
	TokenizerNone   = "none"    // the texts are tokenised already
	TokenizerPTBJar = "ptb-jar" // the official program
)

// Tokenizers returns the tokenizers, the default first.
func Tokenizers() []string { return []string{TokenizerPTB, TokenizerNone, TokenizerPTBJar} }

// CaptionMetrics returns the names of caption metrics.
func CaptionMetrics() []string { return []string{"bleu", "rouge_l", "cider_d", "meteor", "spice"} }

// captionFile is a file of references in COCO's layout.
type captionFile struct {
	Images []struct {
		ID *id `json:"id"`
	} `json:"images"`
	Annotations []struct {
		Image   *id     `json:"image_id"`
		Caption *string `json:"caption"`
	} `json:"annotations"`
}

// readReferences reads the pictures in the order of the file, and the captions of each.
func readReferences(path string) (pictures []id, captions [][]string, err error) {
	var file captionFile
	const want = `{"images": [{"id": …}, …], "annotations": [{"image_id": …, "caption": "…"}, …]}`
	if err := decode(path, &file, want); err != nil {
		return nil, nil, err
	}
	if len(file.Images) == 0 {
		return nil, nil, adapters.Errorf(adapters.Corrupt, "%s has no images", path).WithRemedy("want %s", want)
	}
	index := map[id]int{}
	for n, image := range file.Images {
		if image.ID == nil {
			return nil, nil, adapters.Errorf(adapters.Corrupt, "%s: image %d has no id", path, n).WithRemedy("want %s", want)
		}
		index[*image.ID] = len(pictures)
		pictures = append(pictures, *image.ID)
	}
	if err := unique(path, "id", pictures); err != nil {
		return nil, nil, err
	}
	captions = make([][]string, len(pictures))
	for n, a := range file.Annotations {
		if a.Image == nil || a.Caption == nil {
			return nil, nil, adapters.Errorf(adapters.Corrupt, "%s: annotation %d lacks image_id or caption", path, n).WithRemedy("want %s", want)
		}
		i, ok := index[*a.Image]
		if !ok {
			return nil, nil, adapters.Errorf(adapters.Corrupt, "%s: annotation %d is about image %s, which is not in images", path, n, *a.Image).WithRemedy("want %s", want)
		}
		captions[i] = append(captions[i], *a.Caption)
	}
	if i := slices.IndexFunc(captions, func(texts []string) bool { return len(texts) == 0 }); i >= 0 {
		return nil, nil, adapters.Errorf(adapters.Corrupt, "%s: image %s has no caption", path, pictures[i]).WithRemedy("leave the picture out of images")
	}
	return pictures, captions, nil
}

// corpus holds the tokenised captions and references.
type corpus struct {
	got        []string
	references [][]string
}

// scoreCaptions scores captions by the metrics of pycocoevalcap.
func scoreCaptions(ctx context.Context, o Options) (*Result, error) {
	tokenizer, err := choice("the tokenizer", o.Tokenizer, Tokenizers())
	if err != nil {
		return nil, err
	}
	for _, m := range o.Metrics {
		if _, err := choice("a metric", m, CaptionMetrics()); err != nil {
			return nil, err
		}
	}
	pictures, references, err := readReferences(o.References)
	if err != nil {
		return nil, err
	}
	got, err := readPredictions(o.Predictions, captionLayout)
	if err != nil {
		return nil, err
	}
	texts, _, err := got.pair(pictures, o.AllowMissing)
	if err != nil {
		return nil, err
	}
	c, err := tokenize(ctx, tokenizer, o.Jars, texts, references)
	if err != nil {
		return nil, err
	}
	r := &Result{Task: Captions, Settings: []Setting{{"tokenizer", tokenizer}}, N: len(texts), Counts: got.counts, NotComputed: map[string]string{}}
	return r, c.score(ctx, r, o)
}

// tokenize returns the texts as the tokenizer gives them.
func tokenize(ctx context.Context, tokenizer string, folder jars.Folder, texts []string, references [][]string) (*corpus, error) {
	c := &corpus{got: texts, references: references}
	if tokenizer == TokenizerNone {
		return c, nil
	}
	words := func(texts []string) ([]string, error) { return ptb.Words(texts), nil }
	if tokenizer == TokenizerPTBJar {
		words = func(texts []string) ([]string, error) {
			lines := make([]string, len(texts))
			for i, text := range texts {
				lines[i] = strings.ReplaceAll(text, "\n", " ")
			}
			tokens, err := folder.Tokenize(ctx, lines)
			return ptb.Drop(tokens), err
		}
	}
	var err error
	if c.got, err = words(texts); err != nil {
		return nil, err
	}
	flat, err := words(slices.Concat(references...))
	if err != nil {
		return nil, err
	}
	c.references = make([][]string, len(references))
	for i, texts := range references {
		c.references[i], flat = flat[:len(texts)], flat[len(texts):]
	}
	return c, nil
}

// score adds the figures to a result.
func (c *corpus) score(ctx context.Context, r *Result, o Options) error {
	wanted := func(metric string) bool { return o.Metrics == nil || slices.Contains(o.Metrics, metric) }
	if wanted("bleu") {
		r.Figures = append(r.Figures, c.bleu()...)
	}
	if wanted("rouge_l") {
		_, each := metrics.ROUGEL(c.got, c.references)
		r.Figures = append(r.Figures, mean("rouge_l", "ROUGE-L", each))
	}
	if wanted("cider_d") {
		_, each := metrics.CIDErD(c.got, c.references)
		r.Figures = append(r.Figures, mean("cider_d", "CIDEr-D", each))
	}
	for metric, part := range map[string]jars.Part{"meteor": jars.METEOR, "spice": jars.SPICE} {
		if !wanted(metric) {
			continue
		}
		if err := o.Jars.Missing(part); err != nil {
			if o.Metrics != nil { // asked for by name
				return err
			}
			r.NotComputed[metric] = err.Error()
		}
	}
	if _, missing := r.NotComputed["meteor"]; wanted("meteor") && !missing {
		if err := c.meteor(ctx, r, o.Jars); err != nil {
			return err
		}
	}
	if _, missing := r.NotComputed["spice"]; wanted("spice") && !missing {
		each, err := o.Jars.SPICE(ctx, c.got, c.references)
		if err != nil {
			return err
		}
		r.Figures = append(r.Figures, mean("spice", "SPICE", each))
	}
	return nil
}

// bleu returns BLEU-1 to BLEU-4, from sums of counts.
func (c *corpus) bleu() []Figure {
	counts := make([]metrics.BLEUCounts, len(c.got))
	for i, text := range c.got {
		counts[i] = metrics.CountBLEU(text, c.references[i])
	}
	var out []Figure
	for n := range 4 {
		out = append(out, figure(fmt.Sprintf("bleu_%d", n+1), fmt.Sprintf("BLEU-%d", n+1), len(counts), func(rows []int) float64 {
			var sum metrics.BLEUCounts
			for _, row := range rows {
				sum.Add(&counts[row])
			}
			return sum.Scores()[n]
		}))
	}
	return out
}

// meteor adds METEOR: the program's figure, and intervals from its counts.
func (c *corpus) meteor(ctx context.Context, r *Result, folder jars.Folder) error {
	value, _, counts, err := folder.METEOR(ctx, c.got, c.references)
	if err != nil {
		return err
	}
	f := figure("meteor", "METEOR", len(counts), func(rows []int) float64 {
		var sum jars.MeteorCounts
		for _, row := range rows {
			sum.Add(&counts[row])
		}
		return sum.Score()
	})
	f.value = value
	r.Figures = append(r.Figures, f)
	return nil
}
