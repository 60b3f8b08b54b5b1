package benchmark

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/eval/score"
	"github.com/modular-bridging/bridge/eval/tasks"
)

// oneLine returns the text of an error without line feeds.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// scored returns a line as package eval/score takes it.
func scored(s Sample) score.Sample {
	out := score.Sample{ID: s.ID, Text: s.Raw, Failed: s.Error != "", Targets: s.Target, Types: s.Types, Right: -1, ByText: s.Direction == imageDirection}
	if len(s.Target) == 0 {
		out.Targets = []string{""}
	}
	for i, loss := range s.Losses {
		if loss < s.Losses[out.Chosen] {
			out.Chosen = i
		}
	}
	if s.Right != nil {
		out.Right, out.Positive = *s.Right, *s.Right == 1
	}
	if len(s.Losses) == 2 {
		out.Confidence = s.Losses[0] - s.Losses[1]
	}
	if s.Rank != nil {
		out.Rank = *s.Rank
	}
	if s.Matches != nil {
		out.Matches = *s.Matches
	}
	return out
}

// finish scores all answers and writes the result.
func (r *runner) finish(ctx context.Context) (*Result, error) {
	inOrder := slices.Clone(r.lines.done)
	slices.SortStableFunc(inOrder, func(a, b Sample) int { return a.Index - b.Index })
	samples := make([]score.Sample, len(inOrder))
	out := &Result{Format: resultFormat, Task: r.plan.Task, Model: r.plan.Model, Data: r.plan.Data, Subset: r.plan.Subset, Settings: r.plan.Settings,
		N: len(inOrder), Failures: failuresOf(inOrder), Notes: slices.Clone(r.task.Notes)}
	if r.byLanguage() {
		out.Notes = append(out.Notes, byLanguageNote)
	}
	distinct := map[string]bool{}
	for i, s := range inOrder {
		samples[i] = scored(s)
		out.Seconds += s.Seconds
		distinct[s.Raw] = true
	}
	out.Failed, out.Answers = len(out.Failures), len(distinct)
	if out.Seconds > 0 {
		out.SamplesPerSecond = float64(out.N) / out.Seconds
	}
	all, err := r.scorer.All(ctx, samples)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.task.Name, err)
	}
	out.Figures, out.NotComputed = figuresOf(all), all.NotComputed
	out.addPaper(r.task, r.model.Vision.Spec().Image.Width)
	r.warn(out, trainedOn(inOrder), repeated(inOrder))
	if out.Upload, err = r.writeUpload(inOrder); err != nil {
		return nil, err
	}
	out.Samples = r.lines.done
	return out, writeJSON(filepath.Join(r.options.Dir, ResultFile), out)
}

// figuresOf returns the figures of a score as they are written.
func figuresOf(r *score.Result) []Figure {
	var out []Figure
	for _, f := range r.Figures {
		i, deviation := f.Spread()
		out = append(out, Figure{Key: f.Key, Title: f.Title, Percent: f.Percent, Better: f.Better, By: f.By, Name: f.Name, Value: Number(f.Value()), N: f.N(),
			StandardError: Number(deviation), Interval: [2]Number{Number(i.Low), Number(i.High)}})
	}
	return out
}

// repeated returns the ids that several samples have, in order.
func repeated(samples []Sample) []string {
	var twice []string
	count := map[string]int{}
	for _, s := range samples {
		key := s.ID + " " + s.Direction
		if count[key]++; count[key] == 2 {
			twice = append(twice, s.ID)
		}
	}
	return twice
}

// warn adds the warnings of a result, and logs them. trained is the number of pictures that the model was trained on,
// and twice are the ids that several samples have.
func (r *runner) warn(out *Result, trained int, twice []string) {
	out.Warnings = slices.Clone(r.set.Warnings())
	if out.Failed > 0 {
		out.Warnings = append(out.Warnings, fmt.Sprintf("%d of %d samples failed and count 0; the first is %s: %s", out.Failed, out.N, out.Failures[0].ID, out.Failures[0].Error))
	}
	if out.Answers == 1 && out.N > 1 && r.task.How() == tasks.Generates {
		out.Warnings = append(out.Warnings, fmt.Sprintf("all %d answers are the same text", out.N))
	}
	if trained > 0 {
		out.Warnings = append(out.Warnings, fmt.Sprintf("the model was trained on %d pictures of the task: the figures are too good", trained))
	}
	if len(twice) > 0 {
		out.Warnings = append(out.Warnings, fmt.Sprintf("%d ids occur more than once, the first is %s: the file is not the official one", len(twice), twice[0]))
	}
	for _, text := range out.Warnings {
		r.options.Log.Warn(text, "task", r.task.Name)
	}
}

// trainedOn returns the number of pictures that the model was trained on.
func trainedOn(samples []Sample) int {
	found := map[string]bool{}
	for _, s := range samples {
		if s.TrainedOn {
			found[s.Picture] = true
		}
	}
	return len(found)
}

// addPaper adds the published figures of the model, and what the run does otherwise.
func (out *Result) addPaper(t *tasks.Task, width int) {
	model, ok := tasks.PublishedModel(out.Model.Published)
	if !ok {
		return
	}
	p := &Paper{Model: model.Title}
	for _, v := range t.Paper {
		by, name, _ := strings.Cut(v.Group, ": ")
		i := slices.IndexFunc(out.Figures, func(f Figure) bool { return f.Key == v.FigureKey() && f.By == by && f.Name == name })
		if v.Model != model.ID || i < 0 {
			continue
		}
		out.Figures[i].Paper = &v.Value
		if !slices.Contains(p.Sources, v.Source) {
			p.Sources = append(p.Sources, v.Source)
		}
		if v.Differs != "" && !slices.Contains(p.Differs, "the paper: "+v.Differs) {
			p.Differs = append(p.Differs, "the paper: "+v.Differs)
		}
	}
	if len(p.Sources) == 0 {
		return
	}
	if out.Model.Trained {
		p.Differs = append(p.Differs, "the bridge was trained here: its weights are not the published ones")
	}
	if width != model.PictureSize {
		p.Differs = append(p.Differs, fmt.Sprintf("pictures of %d pixels, not %d", width, model.PictureSize))
	}
	if !out.Subset.All() {
		p.Differs = append(p.Differs, out.Subset.String())
	}
	out.Paper = p
}
