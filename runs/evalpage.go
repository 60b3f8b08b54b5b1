package runs

import (
	"path/filepath"
	"slices"

	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/record"
	"github.com/modular-bridging/bridge/eval/benchmark"
	"github.com/modular-bridging/bridge/eval/benchmark/page"
	"github.com/modular-bridging/bridge/eval/score"
	"github.com/modular-bridging/bridge/eval/tasks"
	"github.com/modular-bridging/bridge/imaging"
)

// addToPage adds a task to the page of the evaluation, which it writes anew: a later task may fail.
func (e *evaluation) addToPage(r *benchmark.Result, set *tasks.Set, orientation imaging.Orientation) error {
	samples := r.Samples
	r.Samples = nil // results of all tasks are kept
	t := page.Task{Result: r, All: len(samples)}
	find, err := pictureFinder(set, r)
	if err != nil {
		return err
	}
	reader := data.Reader{Orientation: orientation}
	for _, line := range page.Pick(samples) {
		s := page.Sample{Sample: line}
		pictures, err := find(line)
		for _, p := range pictures {
			var file []byte
			if file, err = thumbnail(reader, p); err != nil {
				break
			}
			s.Pictures = append(s.Pictures, file)
		}
		if err != nil {
			s.Missing = err.Error()
		}
		t.Samples = append(t.Samples, s)
	}
	e.page.Title = "Evaluation of " + e.model
	e.page.Footer = "Made by bridge eval."
	e.page.Tasks = append(e.page.Tasks, t)
	return e.page.WriteFile(filepath.Join(EvalDir(e.options.Out, e.model), ReportFile))
}

// pictureFinder returns a function that returns the pictures of a line. Lines of retrieval are queries, not
// samples of the task: their picture is found by its name.
func pictureFinder(set *tasks.Set, r *benchmark.Result) (func(benchmark.Sample) ([]*record.Picture, error), error) {
	if r.Task.Metric != score.Retrieval {
		return func(line benchmark.Sample) ([]*record.Picture, error) {
			s, err := set.Sample(line.Index)
			return slices.DeleteFunc([]*record.Picture{s.Picture, s.Second}, func(p *record.Picture) bool { return p == nil }), err
		}, nil
	}
	byName := map[string]*record.Picture{}
	for n := range set.Len() {
		s, err := set.Sample(n)
		if err != nil {
			return nil, err
		}
		byName[s.Picture.Name] = s.Picture
	}
	return func(line benchmark.Sample) ([]*record.Picture, error) {
		return []*record.Picture{byName[line.Picture]}, nil
	}, nil
}

// thumbnail returns a small JPEG of a picture.
func thumbnail(r data.Reader, p *record.Picture) ([]byte, error) {
	img, err := r.Open(p)
	if err != nil {
		return nil, err
	}
	return imaging.Thumbnail(img, page.PictureSide)
}
