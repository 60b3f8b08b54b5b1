package benchmark

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/record"
	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/internal/atomicfile"
)

// piecesFolder is the folder of the finished parts of a retrieval.
const piecesFolder = "pieces"

// The directions of retrieval: the candidates are texts, or pictures.
const (
	textDirection  = "text"
	imageDirection = "image"
)

// pieces keeps parts as files.
type pieces string

var _ eval.Pieces = pieces("")

// Load returns a part.
func (p pieces) Load(name string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(string(p), name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// Save keeps a part.
func (p pieces) Save(name string, data []byte) error {
	if err := os.MkdirAll(string(p), 0o777); err != nil {
		return err
	}
	return atomicfile.WriteBytes(filepath.Join(string(p), name), data)
}

// retrieve compares all pictures and captions. The parts that are finished are on the disk; the lines are
// written at the end, because ranks need all scores.
func (r *runner) retrieve(ctx context.Context) error {
	started := time.Now()
	questions, g, err := r.gallery()
	if err != nil {
		return err
	}
	all := g.Pictures + len(g.Captions)
	if len(r.lines.done) == all {
		return nil
	}
	if len(r.lines.done) > 0 { // killed while the lines were written
		if err := r.lines.clear(); err != nil {
			return err
		}
	}
	o := eval.RetrievalOptions{Rerank: *r.task.Retrieve.Rerank, TextTokens: r.task.Retrieve.TextTokens,
		Pieces: pieces(filepath.Join(r.options.Dir, piecesFolder)), Progress: r.options.Progress}
	var found *eval.Retrieved
	if r.byLanguage() {
		found, err = eval.RetrieveByLanguage(ctx, r.model, g, *r.task.Retrieve.Language, o)
	} else {
		found, err = eval.Retrieve(ctx, r.model.Bridge, g, o)
	}
	if err != nil {
		return err
	}
	seconds := time.Since(started).Seconds() / float64(all)
	if err := r.lines.append(r.retrieved(questions, g, found, seconds)); err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(r.options.Dir, piecesFolder))
}

// byLanguage reports whether the language model compares pictures with captions, because the bridge has no
// text side.
func (r *runner) byLanguage() bool {
	return r.task.Retrieve.Language != nil && r.model.Tokenizer() == nil && r.model.Language != nil
}

// byLanguageNote is a note about figures of retrieval by the language model.
const byLanguageNote = "The bridge has no text side. Pairs are ranked by how much the picture adds to the caption's log-probability " +
	"under the language model: not by ITC and ITM, so the figures are not comparable with those of BLIP-2's retrieval."

// gallery reads all samples. A picture that cannot be read is an error: without it, all other ranks would be
// others.
func (r *runner) gallery() ([]question, eval.Gallery, error) {
	g := eval.Gallery{Pictures: len(r.samples)}
	questions := make([]question, len(r.samples))
	for i, n := range r.samples {
		s, err := r.set.Sample(n)
		if err != nil {
			return nil, g, err
		}
		questions[i] = question{Sample: s, index: n, place: i}
		for _, caption := range s.Captions {
			g.Captions, g.Picture = append(g.Captions, r.task.Retrieve.Process(caption)), append(g.Picture, i)
		}
	}
	g.Features = func(ctx context.Context, pictures []int) (*adapters.Tensor, error) {
		list, names := make([]*record.Picture, len(pictures)), make([]string, len(pictures))
		for i, p := range pictures {
			list[i], names[i] = questions[p].Picture, questions[p].Picture.Name
		}
		f, err := r.encode(ctx, list)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if err := f.errors[name]; err != nil {
				return nil, err
			}
		}
		return f.stack(names), nil
	}
	return questions, g, nil
}

// retrieved returns a line for each query: the pictures, then the captions. Index counts on.
func (r *runner) retrieved(questions []question, g eval.Gallery, found *eval.Retrieved, seconds float64) []Sample {
	var out []Sample
	add := func(s Sample, rank int) {
		s.Index, s.Rank, s.Seconds = len(out), &rank, seconds
		text, value, _ := r.scorer.One(len(out), scored(s))
		s.Normalised, s.Score = text, &value
		out = append(out, s)
	}
	for i, q := range questions {
		add(Sample{ID: q.ID, Picture: q.Picture.Name, Raw: g.Captions[found.Text.Best[i]], Target: q.Captions, Direction: textDirection}, found.Text.Ranks[i])
	}
	for i, caption := range g.Captions {
		own := questions[g.Picture[i]]
		add(Sample{ID: fmt.Sprintf("%s#%d", own.ID, i), Picture: own.Picture.Name, Prompt: caption, Raw: questions[found.Image.Best[i]].Picture.Name,
			Target: []string{own.Picture.Name}, Direction: imageDirection}, found.Image.Ranks[i])
	}
	return out
}

// matchExamples asks ITM how well each caption of an example of Winoground fits each picture.
func (r *runner) matchExamples(ctx context.Context) error {
	r.options.Progress(len(r.lines.done), len(r.samples))
	for len(r.lines.done) < len(r.samples) {
		started, n := time.Now(), r.samples[len(r.lines.done)]
		s, err := r.matchExample(ctx, n)
		if err != nil {
			return err
		}
		s.Seconds = time.Since(started).Seconds()
		if err := r.lines.append([]Sample{s}); err != nil {
			return err
		}
		r.failed += len(failuresOf([]Sample{s}))
		if err := r.checkFailures(); err != nil {
			return err
		}
		r.options.Progress(len(r.lines.done), len(r.samples))
	}
	return nil
}

// matchExample returns the line of an example.
func (r *runner) matchExample(ctx context.Context, n int) (Sample, error) {
	x, err := r.set.Sample(n)
	if err != nil {
		return r.line(question{index: n, err: err, damaged: true}, answered{err: err}), nil
	}
	q := question{Sample: x, index: n}
	f, err := r.encode(ctx, []*record.Picture{x.Picture, x.Second})
	if err != nil {
		return Sample{}, err
	}
	first, second := x.Picture.Name, x.Second.Name
	if err := errors.Join(f.errors[first], f.errors[second]); err != nil {
		return r.line(q, answered{err: err}), nil
	}
	captions := make([]string, len(x.Captions))
	for i, caption := range x.Captions {
		captions[i] = r.task.Retrieve.Process(caption)
	}
	a, b := captions[0], captions[1]
	logits, err := r.model.Match(ctx, f.stack([]string{first, second, first, second}), []string{a, a, b, b})
	if err != nil {
		return Sample{}, err
	}
	q.Targets = []string{}
	s := r.line(q, answered{})
	s.Target, s.Prompt, s.Matches = x.Captions, "", &[2][2]float64{}
	for i := range 4 {
		s.Matches[i/2][i%2] = float64(logits.Float32s()[2*i+1])
	}
	_, value, _ := r.scorer.One(0, scored(s))
	s.Score = &value
	return s, nil
}
