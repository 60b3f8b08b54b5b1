package runs

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/workspace"
)

// ParameterCount is the parameter count of a recipe.
type ParameterCount struct {
	recipes.Counts
	assumed string // assumption behind the count; empty if there is none
}

// Count counts a recipe's parameters without loading weights.
func Count(ctx context.Context, w *workspace.Workspace, r *recipes.Recipe) (ParameterCount, error) {
	m, err := modelsOf(w, r)
	if err != nil {
		return ParameterCount{}, err
	}
	shape, assumed, err := shapeOf(ctx, w, r, m.vision.Width, m.width())
	manifests := []registry.Manifest{m.vision.Manifest}
	if m.language != nil {
		manifests = append(manifests, m.language.Manifest)
	}
	return ParameterCount{r.Count(shape, manifests...), assumed}, err
}

// models are the frozen models of a recipe. Their weights need not be there.
type models struct {
	vision   registry.Backbone
	language *registry.Backbone // nil in stage 1
}

// modelsOf looks up the frozen models of a recipe. Their adapters may be plugins.
func modelsOf(w *workspace.Workspace, r *recipes.Recipe) (m models, err error) {
	reg, err := w.Registry()
	if err != nil {
		return m, err
	}
	if m.vision, err = modelOf(reg, r.Vision.Backbone); err != nil || r.Language == nil {
		return m, err
	}
	language, err := modelOf(reg, r.Language.Backbone)
	m.language = &language
	return m, err
}

// modelOf returns a frozen model of a recipe.
func modelOf(reg *registry.Registry, b recipes.Backbone) (registry.Backbone, error) {
	if b.Path != "" {
		return reg.Folder(b.Path)
	}
	return reg.Lookup(b.ID)
}

// width returns the width of the language model's soft prompts; 0 in stage 1.
func (m models) width() int {
	if m.language == nil {
		return 0
	}
	return m.language.Width
}

// shapeOf returns the shape of a recipe's Q-Former, for the widths of its frozen models. If the
// starting bridge does not exist yet, it assumes the size in the BLIP-2 paper.
func shapeOf(ctx context.Context, w *workspace.Workspace, r *recipes.Recipe, vision, language int) (
	c qformer.Config, assumed string, err error,
) {
	if r.From != "" {
		dir, err := w.BridgeDir(ctx, r.From)
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
		path, err := tokenizerFile(ctx, w, r.QFormer.Tokenizer)
		if err != nil {
			return c, "", err
		}
		if tokenizer, err := bridge.OpenTokenizer(ctx, path); err == nil {
			vocabulary = tokenizer.Vocabulary()
			defer tokenizer.Close()
		} else {
			assumed = fmt.Sprintf("a vocabulary of %s tokens, because %s was not found", thousands(int64(vocabulary)), r.QFormer.Tokenizer)
		}
	}
	return r.Shape(nil, vision, language, vocabulary), assumed, nil
}

// tokenizerFile returns the path of the tokenizer.json of a Q-Former's text side.
func tokenizerFile(ctx context.Context, w *workspace.Workspace, name string) (string, error) {
	if id, ok := strings.CutPrefix(name, "kit:"); ok {
		dir, err := workspace.KitDir(ctx)
		return filepath.Join(dir, id+"-tokenizer", "tokenizer.json"), err
	}
	reg, err := w.Registry()
	if err != nil {
		return "", err
	}
	if dir, ok := reg.Snapshot(name, "tokenizer.json"); ok {
		name = dir
	}
	return filepath.Join(name, "tokenizer.json"), nil
}

// Comment returns the counts as comment lines of a recipe.
func (c ParameterCount) Comment() string {
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

// thousands formats a number with commas between groups of three digits.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// checkWeights returns an error if weights of a recipe are missing. The error lists all of them:
// how to download them, their size, and the memory and time of the run.
func checkWeights(ctx context.Context, w *workspace.Workspace, r *recipes.Resolved) error {
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
	m := models{r.VisionModel, r.LanguageModel}
	shape, machine, err := m.shape(ctx, w, &r.Recipe)
	if err != nil {
		return err
	}
	return adapters.Errorf(adapters.NotFound, "%s; stage %d in total, with training: %s (estimates)",
		strings.Join(facts, "; "), r.Stage, r.Estimate(shape, machine).Describe(runtime.NumCPU())).
		WithRemedy("%s", strings.Join(remedies, "; "))
}
