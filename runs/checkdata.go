package runs

import (
	"strings"

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

// CheckData reads a recipe's annotation files to their end, and a sample of its pictures. The
// error is a [DataProblems] with everything because of which a run would not start. CheckData
// warns of what a run would leave out.
func CheckData(w *workspace.Workspace, r *recipes.Resolved) error {
	var all DataProblems
	for _, s := range []struct {
		key    string
		source recipes.Source
	}{{"data.train", r.Data.Train}, {"data.eval", r.Data.Eval}} {
		if s.source.ID != "" {
			continue // the kit's data is part of bridge
		}
		found := data.CheckFiles(files(s.source, r.Data), sampledPictures)
		for _, problem := range found.Problems {
			all = append(all, keyError{s.key, problem})
		}
		for _, text := range found.Warnings {
			w.Log().Warn("annotations: "+text, "data", s.key)
		}
		for _, problem := range found.Broken {
			w.Log().Warn("picture would be skipped", "data", s.key, "reason", problem)
		}
		if len(found.Problems) > 0 {
			continue
		}
		w.Log().Info("data checked", "data", s.key, "pictures", found.Pictures, "read", found.Sampled)
	}
	if len(all) > 0 {
		return all
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
