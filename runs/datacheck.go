package runs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/record"
	"github.com/modular-bridging/bridge/data/survey"
	"github.com/modular-bridging/bridge/imaging"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/workspace"
)

// DataOptions say how data is checked.
type DataOptions struct {
	LLM   string // counts the targets' tokens, too; empty: the recipe's, or none for a source
	Fresh bool   // an interrupted check starts over
	Page  string // file of an HTML page; empty writes none
}

// DataCheck holds the findings of a check of a source.
type DataCheck struct {
	Source string `json:"source"` // name of its first file or brace list, and how many more there are
	*survey.Summary
	Tokens *survey.Tokens `json:"tokens,omitempty"` // of the targets; nil if they were not counted
}

// DataChecks are what a check of a recipe found.
type DataChecks struct {
	Recipe string      `json:"recipe"`
	Train  []DataCheck `json:"train"`
	Eval   []DataCheck `json:"eval"`
	// Overlap is the number of distinct pictures that are in both, by their pixels.
	Overlap int `json:"overlap_pictures"`
}

// checker checks sources, and collects them for a page.
type checker struct {
	workspace *workspace.Workspace
	options   DataOptions
	counter   adapters.TokenCounter // nil if tokens are not counted
	llm       string
	limit     int // tokens of a target; 0 is none
	pictures  data.Reader
	page      survey.Page
}

// defaultTextTokens is the limit of texts for a source without a recipe: the default of
// data.max_text_tokens.
const defaultTextTokens = 32

// CheckSource reads a whole source.
func CheckSource(ctx context.Context, w *workspace.Workspace, s DataSource, o DataOptions) (DataCheck, error) {
	c := &checker{workspace: w, options: o, limit: defaultTextTokens, pictures: data.Reader{Orientation: s.Orientation}}
	c.page.Title = "Data: " + s.Path
	if o.LLM != "" {
		reg, err := w.Registry()
		if err != nil {
			return DataCheck{}, err
		}
		model, err := reg.Lookup(o.LLM)
		if err != nil {
			return DataCheck{}, err
		}
		done, err := c.countWith(ctx, workspace.OpenSpec{Model: model})
		if err != nil {
			return DataCheck{}, err
		}
		defer done()
	}
	found, err := c.check(ctx, s.source())
	if err != nil {
		return DataCheck{}, err
	}
	return found, c.writePage()
}

// CheckRecipeData reads the whole data of a recipe.
func CheckRecipeData(ctx context.Context, w *workspace.Workspace, r *recipes.Resolved, o DataOptions) (DataChecks, error) {
	c := &checker{workspace: w, options: o, limit: r.Data.MaxTextTokens,
		pictures: data.Reader{Orientation: imaging.Orientation(r.Data.Orientation)}}
	c.page.Title = "Data of " + r.Name
	out := DataChecks{Recipe: r.Name}
	if r.LanguageModel != nil {
		done, err := c.countWith(ctx, workspace.SpecForRecipe(*r.LanguageModel, r.Language.Backbone, r.Run.Backend))
		if err != nil {
			return out, err
		}
		defer done()
	}
	for _, part := range []struct {
		table recipes.Source
		found *[]DataCheck
	}{{r.Data.Train, &out.Train}, {r.Data.Eval, &out.Eval}} {
		for _, s := range sourcesOf(part.table) {
			found, err := c.check(ctx, s)
			if err != nil {
				return out, err
			}
			*part.found = append(*part.found, found)
		}
	}
	out.Overlap = survey.Overlap(summaries(out.Train), summaries(out.Eval))
	c.page.Overlap = &out.Overlap
	return out, c.writePage()
}

func summaries(all []DataCheck) []*survey.Summary {
	var list []*survey.Summary
	for _, c := range all {
		list = append(list, c.Summary)
	}
	return list
}

// countWith opens the language model that counts tokens. The caller closes it.
func (c *checker) countWith(ctx context.Context, spec workspace.OpenSpec) (done func(), err error) {
	m, err := c.workspace.OpenLanguage(ctx, spec)
	if err != nil {
		return nil, err
	}
	done = c.workspace.Closer(m)
	counter, ok := adapters.AsTokenCounter(m)
	if !ok {
		c.workspace.Log().Warn("tokens are not counted: the language model's adapter cannot", "language model", m.Spec().ID)
		return done, nil
	}
	c.counter, c.llm = counter, m.Spec().ID
	return done, nil
}

// check checks one source.
func (c *checker) check(ctx context.Context, s source) (out DataCheck, err error) {
	r, err := s.open(ctx, c.workspace)
	if err != nil {
		return out, err
	}
	defer c.workspace.Closer(r)()
	warnOf(c.workspace, r)
	out.Source = sourceName(s.Source)
	if out.Summary, err = c.survey(ctx, s, r); err != nil {
		return out, err
	}
	if c.counter != nil {
		if out.Tokens, err = survey.CountTokens(ctx, r, c.counter, c.limit); err != nil {
			return out, err
		}
		out.Tokens.LLM = c.llm
	}
	if c.options.Page != "" {
		c.page.Add(out.Source, out.Summary, out.Tokens, r, c.pictures)
	}
	return out, nil
}

// survey surveys a source, or continues an interrupted survey of it.
func (c *checker) survey(ctx context.Context, s source, r record.Reader) (*survey.Summary, error) {
	task := c.workspace.Progress().Start("check "+sourceName(s.Source), r.Len(), 0)
	defer task.Done()
	sum := sha256.Sum256(fmt.Append(nil, r.Format(), r.Len(), r.Digest(), s.Images, c.pictures.Orientation))
	return survey.Of(ctx, r, survey.Options{
		Pictures: c.pictures, Fresh: c.options.Fresh,
		Journal:  filepath.Join(workspace.CacheDir(), "checks", hex.EncodeToString(sum[:8])+".jsonl"),
		Progress: func(done, total int) { task.Step(done, 0, 0) },
		Continued: func(done int) {
			c.workspace.Log().Info("continuing an interrupted check; --fresh starts over", "source", sourceName(s.Source), "records done", done)
		},
	})
}

func (c *checker) writePage() error {
	if c.options.Page == "" {
		return nil
	}
	return c.page.WriteFile(c.options.Page)
}
