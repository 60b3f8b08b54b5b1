package runs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/formats"
	"github.com/modular-bridging/bridge/imaging"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/workspace"
)

// sourcesFile returns the name of the file of a run folder that identifies the sources of a data
// set by content.
func sourcesFile(which split) string { return "data-" + string(which) + ".json" }

// openSources opens the sources of a table of a recipe as one data set, for pictures of a size.
func openSources(ctx context.Context, w *workspace.Workspace, s recipes.Source, table recipes.Data, image adapters.ImageSpec) (*data.Sources, error) {
	var opened []data.Source
	closeAll := func() {
		for _, o := range opened {
			w.Closer(o.Records)()
		}
	}
	named := map[string]int{}
	for _, source := range s.Sources() {
		r, err := formats.Open(ctx, source, formatOptions(w, sourceName(source)))
		if err != nil {
			closeAll()
			return nil, err
		}
		name := sourceName(source)
		if named[name]++; named[name] > 1 {
			name = fmt.Sprintf("%s (%d)", name, named[name])
		}
		opened = append(opened, data.Source{Name: name, Records: r})
	}
	d, err := data.OpenSources(opened, data.SourceOptions{
		Process: table.CaptionProcessing == "blip", Orientation: imaging.Orientation(table.Orientation),
		TextOnly: table.TextOnly == recipes.TextOnlyTrain,
	}, image)
	if err != nil {
		closeAll()
	}
	return d, err
}

// formatOptions shows the progress of an index that is built.
func formatOptions(w *workspace.Workspace, name string) formats.Options {
	var task interface {
		Step(done, images int, loss float64)
		Done()
	}
	const unit = 1 << 20 // the total may not fit an int on every system
	return formats.Options{CacheDir: filepath.Join(workspace.CacheDir(), "indexes"), Log: w.Log(), Progress: func(done, total int64) {
		if task == nil {
			task = w.Progress().Start("index of "+name+" (MiB)", int(total/unit), 0)
		}
		task.Step(int(done/unit), 0, 0)
		if done >= total {
			task.Done()
			task = nil
		}
	}}
}

// sourceName returns the name of a source for people: the last element of its first path or brace
// list, and how many more there are.
func sourceName(s formats.Source) string {
	first, rest, joined := strings.Cut(s.Files[0], "::")
	name := filepath.Base(first)
	if strings.ContainsAny(first, "{}") { // a slash may stand in braces
		name = first[strings.LastIndexByte(first[:strings.IndexByte(first, '{')], '/')+1:]
	}
	more := 0
	if joined {
		more = 1 + strings.Count(rest, "::")
	}
	for _, path := range s.Files[1:] {
		more += 1 + strings.Count(path, "::")
	}
	if more > 0 {
		name += fmt.Sprintf(" and %d more", more)
	}
	return name
}

// leftOutOfSources returns the list of what a run leaves out of sources. A run that continues
// leaves out again what it left out. A new run reads the first records of each source, and gets an
// error if it could use none of them.
func (res *resources) leftOutOfSources(which split, d *data.Sources) (*data.LeftOutList, error) {
	for _, text := range d.Warnings() {
		res.workspace.Log().Warn("source: " + text)
	}
	list := &data.LeftOutList{Data: d.Name(), Pictures: d.Len(), Max: res.recipe.Data.MaxBad, Log: res.workspace.Log()}
	if res.resumed == "" {
		return list, res.probe(which, d)
	}
	lists, err := readLeftOut(res.resumed)
	if err != nil {
		return nil, err
	}
	if which == trainSplit {
		list.Expect(lists[which])
	} else {
		list.Restore(lists[which])
	}
	res.logLeftOut(list.Data, lists[which])
	return list, list.Check()
}

// probedRecords is the number of records of each source that a new run reads when it opens them.
const probedRecords = 64

// probe returns an error if none of the first records of a source can be used.
func (res *resources) probe(which split, d *data.Sources) error {
	row := 0
	for i, size := range d.Sizes() {
		var first error
		n := min(size, probedRecords)
		usable := false
		for at := row; at < row+n && !usable; at++ {
			err := res.usable(which, d, at)
			usable = err == nil
			if first == nil {
				first = err
			}
		}
		if !usable {
			return adapters.Errorf(adapters.KindOf(first), "%s: none of the first %d records can be used; the first: %w", d.SourceNames()[i], n, first)
		}
		row += size
	}
	return nil
}

// usable returns an error if a run cannot use a record.
func (res *resources) usable(which split, d *data.Sources, row int) error {
	r, err := d.Record(row)
	if err == nil && which == trainSplit {
		err = train.Usable(r, res.recipe.Stage, res.recipe.Data.Questions)
	}
	return err
}

// sameSources returns an error if the sources of a finished run hold other data now.
func sameSources(ctx context.Context, w *workspace.Workspace, dir string, which split, s recipes.Source, table recipes.Data) error {
	path := filepath.Join(dir, sourcesFile(which))
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return damaged(path, err)
	}
	var was []data.SourceInfo
	if err == nil {
		err = json.Unmarshal(text, &was)
	}
	if err != nil {
		return damaged(path, err)
	}
	d, err := openSources(ctx, w, s, table, adapters.ImageSpec{})
	if err != nil {
		return err
	}
	defer w.Closer(d)()
	same := func(a, b data.SourceInfo) bool {
		return a.Format == b.Format && a.Records == b.Records && a.Digest == b.Digest
	}
	if !slices.EqualFunc(d.Describe(), was, same) {
		return adapters.Errorf(adapters.Invalid, "the run in %s cannot be used again: %s holds other data now than when the run was started", dir, d.Name()).
			WithRemedy("bring the data back as it was, or start a new run with --out")
	}
	return nil
}

// checkLazily reads a sample of the records of sources, with their pictures, which is spread over
// their order. It warns of what a run would leave out, and returns an error if a source has no
// record in the sample that a run can use.
func checkLazily(ctx context.Context, w *workspace.Workspace, key string, s recipes.Source, r *recipes.Resolved) error {
	d, err := openSources(ctx, w, s, r.Data, adapters.ImageSpec{})
	if err != nil {
		return err
	}
	defer w.Closer(d)()
	for _, text := range d.Warnings() {
		w.Log().Warn("source: "+text, "data", key)
	}
	if batch := r.Optimizer.Batch; key == "data.train" && d.Len() < batch {
		return adapters.Errorf(adapters.Invalid, "%s has %d records, want at least optimizer.batch, %d", d.Name(), d.Len(), batch).
			WithRemedy("lower optimizer.batch, or give more data")
	}
	first := 0
	for i, size := range d.Sizes() {
		bad, n := badOfSample(d, first, size, key, r)
		for _, problem := range bad {
			w.Log().Warn("record would be left out", "data", key, "reason", problem)
		}
		if len(bad) == n {
			return adapters.Errorf(adapters.Invalid, "%s: none of %d records can be used; the first: %w", d.SourceNames()[i], n, bad[0])
		}
		w.Log().Info("data checked", "data", key, "source", d.SourceNames()[i], "records", size, "read", n)
		first += size
	}
	return nil
}

// badOfSample reads a sample of a source's records, and returns the errors of those that a run
// cannot use.
func badOfSample(d *data.Sources, first, size int, key string, r *recipes.Resolved) (bad []error, n int) {
	n = min(size, sampledPictures)
	for i := range n {
		row := first + i*size/n
		record, err := d.Record(row)
		if err == nil && key == "data.train" {
			err = train.Usable(record, r.Stage, r.Data.Questions)
		}
		for k := 0; err == nil && k < d.PictureCount(row); k++ {
			err = d.TryPicture(data.PictureAt(d, row, k))
		}
		if err != nil {
			bad = append(bad, err)
		}
	}
	return bad, n
}
