package runs

import (
	"context"
	"log/slog"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/imaging"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/workspace"
)

// DataProblems are all problems that [CheckData] found, each for a key of the recipe.
type DataProblems []error

// Error returns a line for each problem.
func (p DataProblems) Error() string {
	var lines []string
	for _, problem := range p {
		lines = append(lines, problem.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the problems.
func (p DataProblems) Unwrap() []error { return p }

// sampledPictures is how many pictures of a data set CheckData reads.
const sampledPictures = 20

// warnedPictures is how many pictures of a data set CheckData names in warnings.
const warnedPictures = 20

// CheckData reads a recipe's annotation files to their end, looks for the file of every
// picture, and reads a sample of the pictures and the list of words. The error is a
// [DataProblems] with everything because of which a run would not start: too many pictures that
// cannot be used are among it. CheckData warns of what a run would leave out. Of sources whose records are read when they are
// drawn, it reads a sample of the records alone.
func CheckData(ctx context.Context, w *workspace.Workspace, r *recipes.Resolved) error {
	var all DataProblems
	for _, s := range []struct {
		key    string
		source recipes.Source
	}{{"data.train", r.Data.Train}, {"data.eval", r.Data.Eval}} {
		if s.source.ID != "" {
			continue // the kit's data is part of bridge
		}
		if s.source.Lazy() {
			if err := checkLazily(ctx, w, s.key, s.source, r); err != nil {
				all = append(all, keyError{s.key, err})
			}
			continue
		}
		found := data.CheckFiles(files(s.source, r.Data), sampledPictures)
		for _, problem := range found.Problems {
			all = append(all, keyError{s.key, problem})
		}
		for _, text := range found.Warnings {
			w.Log().Warn("annotations: "+text, "data", s.key)
		}
		warnOfPictures(w.Log(), s.key, found.Broken)
		if len(found.Problems) > 0 {
			continue
		}
		if err := checkUsable(s.key, s.source, r, found); err != nil {
			all = append(all, keyError{s.key, err})
			continue
		}
		w.Log().Info("data checked", "data", s.key, "pictures", found.Pictures, "read", found.Sampled)
	}
	if list := r.Projection.List; list != "" {
		if _, _, err := readWords(list, r.Projection.MaxWords()); err != nil {
			all = append(all, err) // it names the key
		}
	}
	if len(all) > 0 {
		return all
	}
	return nil
}

// warnOfPictures names the first pictures that a run would leave out, and counts the others.
func warnOfPictures(log *slog.Logger, key string, broken []*data.PictureError) {
	for _, problem := range broken[:min(warnedPictures, len(broken))] {
		log.Warn("picture would be left out", "data", key, "reason", problem)
	}
	if more := len(broken) - warnedPictures; more > 0 {
		log.Warn("more pictures would be left out", "data", key, "number", more)
	}
}

// checkUsable compares the pictures that cannot be used with data.max_bad and, for training
// data, those that are left with the batch. It returns the error with which training would end.
func checkUsable(key string, s recipes.Source, r *recipes.Resolved, found data.Findings) error {
	name := files(s, r.Data).DisplayName()
	list := data.LeftOutList{Data: name, Pictures: found.Pictures, Max: r.Data.MaxBad}
	for _, problem := range found.Broken {
		list.Restore([]data.LeftOut{{Picture: problem.Picture, Reason: adapters.WithoutRemedy(problem.Err).Error()}})
	}
	if err := list.Check(); err != nil {
		return err
	}
	usable := found.Pictures - list.Len()
	if batch := r.Optimizer.Batch; key == "data.train" && usable < batch {
		return adapters.Errorf(adapters.Invalid, "%s has %d pictures that can be used, want at least optimizer.batch, %d", name, usable, batch).
			WithRemedy("lower optimizer.batch, or give more data")
	}
	return nil
}

// keyError is a problem of a key of a recipe.
type keyError struct {
	key string
	err error
}

func (e keyError) Error() string { return e.key + ": " + e.err.Error() }

func (e keyError) Unwrap() error { return e.err }

// files returns the files of a recipe's data set. table says how captions and pictures are
// prepared.
func files(s recipes.Source, table recipes.Data) data.Files {
	return data.Files{
		Captions: s.Annotations, Questions: s.Questions, Images: s.Images,
		Process: table.CaptionProcessing == "blip", Orientation: imaging.Orientation(table.Orientation),
	}
}
