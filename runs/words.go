package runs

import (
	"context"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/runs/report"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/checkpoint"
	"github.com/modular-bridging/bridge/workspace"
)

// withProjection returns a recipe that says how its projection speaks. If the recipe does not
// decide that, the bridge that it starts from does: a bridge that speaks in words goes on in words.
// withProjection returns an error if the recipe has settings that do not fit.
func withProjection(ctx context.Context, w *workspace.Workspace, r *recipes.Resolved) (*recipes.Resolved, error) {
	if r.Stage == 1 {
		return r, nil
	}
	info, config, err := donor(ctx, w, r.From)
	missing := adapters.KindOf(err) == adapters.NotFound // a finished run can be used again without it
	if err != nil && !missing {
		return nil, err
	}
	inWords := r.InWords() || r.Projection.Kind == "" && info.Words != nil
	if err := checkProjection(r, inWords || missing, info); err != nil || !inWords {
		return r, err
	}
	c := *r
	if r.Otherwise != nil {
		if c.Otherwise, err = withProjection(ctx, w, r.Otherwise); err != nil {
			c.Otherwise = nil // settings of words, so words are no default
		}
	}
	c.Projection.Kind = recipes.ProjectionWords
	if r.From != "" && c.Projection.Residual == nil {
		residual := r.HasResidual() || config.Residual
		c.Projection.Residual = &residual
	}
	return &c, nil
}

// donor returns the record and the shape of the bridge that a recipe starts from. Both are zero if
// from is empty.
func donor(ctx context.Context, w *workspace.Workspace, from string) (info bridge.Info, config qformer.Config, err error) {
	if from == "" {
		return info, config, nil
	}
	dir, err := w.BridgeDir(ctx, from)
	if err != nil {
		return info, config, err
	}
	return bridge.ReadInfo(dir)
}

// checkProjection returns an error if a recipe has settings that the form of its projection does
// not use. A recipe alone cannot tell this if the starting bridge decides the form.
func checkProjection(r *recipes.Resolved, inWords bool, from bridge.Info) error {
	p := r.Projection
	switch {
	case !inWords && r.Optimizer.WordsLR != nil && *r.Optimizer.WordsLR != 0:
		return adapters.Errorf(adapters.Invalid, "optimizer.words_lr is %v, but the run's projection is linear", *r.Optimizer.WordsLR).
			WithRemedy("leave it out, or set projection.kind = %q", recipes.ProjectionWords)
	case !inWords && p.Residual != nil && *p.Residual:
		return adapters.Errorf(adapters.Invalid, "projection.residual is true, but the run's projection is linear").
			WithRemedy("leave it out, or set projection.kind = %q", recipes.ProjectionWords)
	case p.List != "" && from.Words != nil:
		return adapters.Errorf(adapters.Invalid, "projection.list is given, but the bridge %s speaks in %d words, and keeps them", r.From, len(from.Words)).
			WithRemedy("leave it out, or start from a bridge with a linear projection")
	case from.Words != nil && p.Kind == "" && r.Swap != nil && r.Swap.Projection == train.ProjectionCaptionTokens:
		return adapters.Errorf(adapters.Invalid, "swap.projection is %q, which fits a linear projection, but the bridge %s speaks in words",
			train.ProjectionCaptionTokens, r.From).
			WithRemedy("set projection.kind = %q, or swap.projection = %q", recipes.ProjectionLinear, train.ProjectionWords)
	}
	return nil
}

// words returns the words that the run's projection speaks in: those of its checkpoint, those of
// the starting bridge, or a new list.
func (res *resources) words(r *recipes.Resolved, from *bridge.Bridge) (words bridge.Words, err error) {
	p := r.Projection
	words.Residual = p.Kind == recipes.ProjectionWords && r.HasResidual()
	if from.Info.Words != nil {
		words.List = from.Info.Words
		return words, nil
	}
	if words.List, err = recordedWords(res.resumed); err != nil {
		return words, err
	}
	switch {
	case p.List != "" && words.List != nil:
		err = checkList(p, words.List)
	case p.List != "":
		words.List, err = res.readList(p)
	case words.List == nil:
		words.List, err = res.frequentWords(p.MaxWords())
	}
	return words, err
}

// saidWords is the number of words of a query in a report.
const saidWords = 3

// said returns the words that a finished run says about the report's samples. If a picture cannot be
// read again, it logs a warning and returns nil.
func (res *resources) said(ctx context.Context, trained *bridge.Bridge, samples []eval.Caption) [][][]bridge.WordWeight {
	if trained.Info.Words == nil || len(samples) == 0 {
		return nil
	}
	var rows []int
	for _, s := range samples[:min(ReportSamples, len(samples))] {
		rows = append(rows, s.Index)
	}
	features, err := res.eval.Features.Features(ctx, rows)
	if err == nil {
		var all [][][]bridge.WordWeight
		if all, err = trained.SaidWords(ctx, features, saidWords); err == nil {
			return all
		}
	}
	res.workspace.Log().Warn("the report does not show the words of the queries", "reason", err)
	return nil
}

// noteOfWords shows the words of each query below a sample.
func noteOfWords(run string, queries [][]bridge.WordWeight) report.Note {
	note := report.Note{Title: "words of each query: " + run}
	for _, words := range queries {
		note.Lines = append(note.Lines, bridge.WordsText(words))
	}
	return note
}

// recordedWords returns the words of the newest checkpoint of a run that continues, or nil.
func recordedWords(run string) ([]string, error) {
	if run == "" {
		return nil, nil
	}
	dir, _, err := checkpoint.Latest(checkpoints(run))
	if err != nil {
		return nil, ignoreMissing(err)
	}
	info, _, err := bridge.ReadInfo(dir)
	return info.Words, err
}

// checkList returns an error if the list of words is not the one that a run was started with.
func checkList(p recipes.Projection, recorded []string) error {
	now, _, err := readWords(p.List, p.MaxWords())
	if err != nil {
		return err
	}
	if !slices.Equal(now, recorded) {
		return adapters.Errorf(adapters.Invalid, "projection.list: %s has other words now than when the run was started", p.List).
			WithRemedy("bring the file back as it was, or start a new run with --out")
	}
	return nil
}

// frequentWords returns the most frequent words of the training data, at most n.
func (res *resources) frequentWords(n int) ([]string, error) {
	words := train.FrequentWords(res.train.Data, n)
	if len(words) < 2 {
		return nil, adapters.Errorf(adapters.Invalid, "the captions and answers of %s have %d words, and a projection needs at least 2",
			res.train.Data.Name(), len(words)).WithRemedy("name a list of words with projection.list")
	}
	return words, nil
}

// readList returns the words of projection.list. If the file has more words than the recipe
// allows, the last ones are dropped with a warning.
func (res *resources) readList(p recipes.Projection) ([]string, error) {
	words, dropped, err := readWords(p.List, p.MaxWords())
	if dropped > 0 {
		res.workspace.Log().Warn("the list has more words than projection.words: the last ones are not used",
			"list", p.List, "words", len(words)+dropped, "used", len(words))
	}
	return words, err
}

// readWords reads the first n words from a file with a word on each line, without repetitions and
// without white space around them, and the number of further words. A word may have spaces inside.
func readWords(file string, n int) (words []string, dropped int, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, 0, adapters.Errorf(adapters.NotFound, "projection.list cannot be read: %w", err).
			WithRemedy("name a file with a word on each line; the path is relative to the working folder")
	}
	if !utf8.Valid(text) {
		return nil, 0, adapters.Errorf(adapters.Invalid, "projection.list: %s is not UTF-8 text", file).
			WithRemedy("save it as UTF-8, with a word on each line")
	}
	seen := map[string]bool{"": true}
	for line := range strings.Lines(strings.TrimPrefix(string(text), "\ufeff")) {
		w := strings.TrimSpace(line)
		if seen[w] {
			continue
		}
		seen[w] = true
		if len(words) == n {
			dropped++
			continue
		}
		words = append(words, w)
	}
	if len(words) < 2 {
		return nil, 0, adapters.Errorf(adapters.Invalid, "projection.list: %s has %d words, want at least 2", file, len(words)).
			WithRemedy("write a word on each line")
	}
	return words, dropped, nil
}
