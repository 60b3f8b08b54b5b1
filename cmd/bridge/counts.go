package main

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
)

// counted is a recipe's parameters, and what was taken for granted to count them.
type counted struct {
	recipes.Counts
	assumed string
}

// count counts a recipe's parameters without loading weights.
func (p *program) count(ctx context.Context, reg *registry.Registry, r *recipes.Recipe) (counted, error) {
	vision, err := manifestOf(reg, r.Vision.Backbone)
	if err != nil {
		return counted{}, err
	}
	models, width := []registry.Manifest{vision}, 0
	if r.Language != nil {
		language, err := manifestOf(reg, r.Language.Backbone)
		if err != nil {
			return counted{}, err
		}
		models, width = append(models, language), language.Width
	}
	shape, assumed, err := p.shape(ctx, reg, r, vision.Width, width)
	return counted{r.Count(shape, models...), assumed}, err
}

// manifestOf describes a frozen model that a recipe names. Its adapter need not
// be built in.
func manifestOf(reg *registry.Registry, b recipes.Backbone) (registry.Manifest, error) {
	find := reg.Lookup
	if b.Path != "" {
		find = reg.Folder
	}
	found, err := find(b.ID + b.Path)
	return found.Manifest, err
}

// shape is that of a recipe's Q-Former. A bridge to start from that is not there
// yet is taken to be of the paper's size.
func (p *program) shape(ctx context.Context, reg *registry.Registry, r *recipes.Recipe, vision, language int) (c qformer.Config, assumed string, err error) {
	if r.From != "" {
		dir, err := bridgeDir(ctx, r.From)
		if adapters.KindOf(err) == adapters.NotFound {
			c = r.Shape(nil, vision, language, qformer.Base().Vocabulary)
			return c, "a bridge of the paper's size in " + r.From, nil
		}
		if err != nil {
			return c, "", err
		}
		_, from, err := bridge.ReadInfo(dir)
		return r.Shape(&from, vision, language, from.Vocabulary), "", err
	}
	vocabulary, assumed := qformer.Base().Vocabulary, ""
	if r.Stage == 1 {
		path, err := wordsFile(ctx, reg, r.QFormer.Tokenizer)
		if err != nil {
			return c, "", err
		}
		if words, err := bridge.OpenTokenizer(ctx, path); err == nil {
			vocabulary = words.Vocabulary()
			defer words.Close()
		} else {
			assumed = fmt.Sprintf("a vocabulary of %s words, for %s is not there", thousands(int64(vocabulary)), r.QFormer.Tokenizer)
		}
	}
	return r.Shape(nil, vision, language, vocabulary), assumed, nil
}

// wordsFile finds the tokenizer.json of a Q-Former's text side.
func wordsFile(ctx context.Context, reg *registry.Registry, name string) (string, error) {
	if id, ok := strings.CutPrefix(name, "kit:"); ok {
		dir, err := kit.Extract(ctx, cacheDir())
		return filepath.Join(dir, id+"-tokenizer", "tokenizer.json"), err
	}
	if dir, ok := reg.Snapshot(name, "tokenizer.json"); ok {
		name = dir
	}
	return filepath.Join(name, "tokenizer.json"), nil
}

// comment says the counts as a line of a recipe's header.
func (c counted) comment() string {
	var frozen []string
	for _, f := range c.Frozen {
		count := "not known"
		if f.Parameters > 0 {
			count = thousands(f.Parameters)
		}
		frozen = append(frozen, count+" ("+f.ID+")")
	}
	text := fmt.Sprintf("# Parameters: %s trainable; frozen: %s\n", thousands(int64(c.Trainable)), strings.Join(frozen, ", "))
	if c.assumed != "" {
		text += "#           counted with " + c.assumed + "\n"
	}
	return text
}

// annotated puts a comment behind the one that a recipe begins with.
func annotated(text []byte, comment string) []byte {
	end := 0
	for line := range bytes.Lines(text) {
		if line[0] != '#' {
			break
		}
		end += len(line)
	}
	return bytes.Join([][]byte{text[:end], []byte(comment), text[end:]}, nil)
}

// thousands writes a number with commas.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// weightsThere says all that a recipe misses at once: what to pull, how big it
// is, and what the run then needs.
func (p *program) weightsThere(ctx context.Context, reg *registry.Registry, r *recipes.Resolved) error {
	var missing []*registry.Backbone
	if r.LanguageModel != nil && r.Language.Plugin == "" {
		missing = append(missing, r.LanguageModel)
	}
	if r.Vision.Plugin == "" {
		missing = append(missing, &r.VisionModel)
	}
	var facts, remedies []string
	for _, b := range missing {
		if b.Source != registry.Missing {
			continue
		}
		if fact, remedy := b.Missing(); fact != "" {
			facts, remedies = append(facts, fact), append(remedies, remedy)
		}
	}
	if len(facts) == 0 {
		return nil
	}
	width := 0
	if r.LanguageModel != nil {
		width = r.LanguageModel.Width
	}
	shape, _, err := p.shape(ctx, reg, &r.Recipe, r.VisionModel.Width, width)
	if err != nil {
		return err
	}
	return adapters.Errorf(adapters.NotFound, "%s; the whole of stage %d, training included: %s (estimates)", strings.Join(facts, "; "), r.Stage,
		r.Estimate(shape).Describe(runtime.NumCPU())).WithRemedy("%s", strings.Join(remedies, "; "))
}
