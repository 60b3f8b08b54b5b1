package runs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/workspace"
)

// OpenSource opens a recipe's data set at a picture size. table says how captions and pictures are
// prepared. If was is non-nil, the data set has the rows of a run, and err
// names the first entry that differs. broken has an error for each picture or entry that is left
// out.
//
// The caller closes the data set if it is an [io.Closer].
func OpenSource(ctx context.Context, w *workspace.Workspace, s recipes.Source, table recipes.Data, image adapters.ImageSpec, was *data.Inventory) (
	d data.Dataset, broken []error, err error,
) {
	if s.ID != "" {
		d, err = data.OpenKit(kit.Split(s.ID[len("kit:"):]), s.Pictures, image)
		return d, nil, err
	}
	if s.Lazy() {
		d, err = openSources(ctx, w, s, table, image)
		return d, nil, err
	}
	f := files(s, table)
	f.Was = was
	return data.OpenFiles(f, image)
}

// OpenEval opens the held-out data of the run in dir at a picture size, with the run's rows. It
// returns an error if the data has changed since.
func OpenEval(ctx context.Context, w *workspace.Workspace, dir string, d recipes.Data, image adapters.ImageSpec) (data.Dataset, error) {
	was, err := readInventory(dir, evalSplit)
	if err != nil {
		return nil, err
	}
	set, _, err := OpenSource(ctx, w, d.Eval, d, image, was)
	return set, err
}

// dataset opens one of the recipe's data sets at the encoder's picture size. Pictures that cannot
// be read, and those that the run left out before, are on the list. It returns an error if there
// are too many, or if a run that continues lacks a picture that it could read when it started.
func (res *resources) dataset(ctx context.Context, which split, s recipes.Source) (data.Dataset, *data.LeftOutList, error) {
	was, err := readInventory(res.resumed, which)
	if err != nil {
		return nil, nil, err
	}
	d, broken, err := OpenSource(ctx, res.workspace, s, res.recipe.Data, res.vision.Spec().Image, was)
	if err != nil {
		return nil, nil, err
	}
	if sources, ok := d.(*data.Sources); ok {
		res.closers = append(res.closers, res.workspace.Closer(sources))
		list, err := res.leftOutOfSources(which, sources)
		return d, list, err
	}
	if was != nil {
		if err := stillReadable(d, broken, res.resumed); err != nil {
			return nil, nil, err
		}
	}
	for _, text := range data.Warnings(d) {
		res.workspace.Log().Warn("annotations: " + text)
	}
	list := &data.LeftOutList{Data: d.Name(), Max: res.recipe.Data.MaxBad, Log: res.workspace.Log()}
	if was != nil {
		list.Pictures = d.Len()
		res.restoreLeftOut(which, list, was)
		res.logBroken(d.Name(), broken)
	} else {
		res.leaveOut(list, broken)
		list.Pictures = d.Len() + list.Len()
	}
	return d, list, list.Check()
}

// leaveOut adds the pictures of broken to the list of a new run. It warns of entries without
// texts.
func (res *resources) leaveOut(list *data.LeftOutList, broken []error) {
	var others []error
	for _, problem := range broken {
		var p *data.PictureError
		if !errors.As(problem, &p) {
			others = append(others, problem)
			continue
		}
		_ = list.Add(data.Record{ID: p.Picture}, p.Picture, p.Err) // no limit yet: list.Pictures is 0
	}
	res.logBroken(list.Data, others)
}

// restoreLeftOut gives the list of a run that continues the pictures that the run left out. Those
// of the training set that have a row are left out again when the run draws them, or when its
// checkpoint is read.
func (res *resources) restoreLeftOut(which split, list *data.LeftOutList, was *data.Inventory) {
	rows := map[string]bool{}
	for _, e := range was.Entries {
		rows[e.Picture] = true
	}
	for _, l := range was.LeftOut {
		if which == trainSplit && rows[l.Picture] {
			list.Expect([]data.LeftOut{l})
		} else {
			list.Restore([]data.LeftOut{l})
		}
		if !rows[l.Picture] { // left out before the rows were numbered
			list.Pictures++
		}
	}
	res.logLeftOut(list.Data, was.LeftOut)
}

// stillReadable returns an error if pictures of the run in dir cannot be read any more. broken has no
// pictures that the run left out.
func stillReadable(d data.Dataset, broken []error, dir string) error {
	bad := pictureErrors(broken)
	if len(bad) == 0 {
		return nil
	}
	remedy := "bring the files back as they were"
	if _, err := os.Stat(filepath.Join(dir, leftOutFile)); errors.Is(err, fs.ErrNotExist) {
		remedy += "; the run has no " + leftOutFile + ": if it left pictures out, bring that file back, too"
	}
	return adapters.Errorf(adapters.KindOf(bad[0].Err), "%s: %d of %d pictures could be read when the run was started and cannot be read now; the first is %q: %w",
		d.Name(), len(bad), d.Len(), bad[0].Picture, bad[0].Err).
		ReplaceRemedy("%s", remedy)
}

// logBroken warns of entries of a data set that cannot be used because they have no texts.
func (res *resources) logBroken(name string, broken []error) {
	const shown = 5
	for i, problem := range broken {
		log := res.workspace.Log().Warn
		if i >= shown {
			log = res.workspace.Log().Debug
		}
		log("entry left out", "data", name, "reason", problem)
	}
	if more := len(broken) - shown; more > 0 {
		res.workspace.Log().Warn("more entries cannot be used; the run's log has them", "data", name, "number", more)
	}
}

// logLeftOut logs which pictures of a data set a continued run left out before.
func (res *resources) logLeftOut(name string, all []data.LeftOut) {
	if len(all) == 0 {
		return
	}
	res.workspace.Log().Warn("pictures that the run left out stay left out, even if they were repaired or removed",
		"data", name, "number", len(all), "first", all[0].Picture, "file", leftOutFile)
	for _, l := range all {
		res.workspace.Log().Debug("picture stays left out", "data", name, "picture", l.Picture, "reason", l.Reason)
	}
}
