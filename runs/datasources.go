package runs

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/formats"
	"github.com/modular-bridging/bridge/data/record"
	"github.com/modular-bridging/bridge/imaging"
	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/workspace"
)

// IsRecipe reports whether an argument names a recipe and no source: a file .toml, or a recipe
// that ships.
func IsRecipe(argument string) bool {
	return filepath.Ext(argument) == ".toml" || slices.Contains(recipes.Shipped(), argument)
}

// DataSource names the files of a source on the command line.
type DataSource struct {
	Path   string // a path, a brace list, or a data set of the kit ("kit:train")
	Images string // folder of the pictures that the files name; may be empty
	Format string // empty means that of the content
	// Orientation says whether pictures are turned; empty means by their Exif data.
	Orientation imaging.Orientation
}

// source is a source of the command line or of a recipe.
type source struct {
	formats.Source
	kitPictures int // of a data set of the kit; 0 means all
}

func (s DataSource) source() source {
	return source{Source: formats.Source{Files: []string{s.Path}, Images: s.Images, Format: s.Format}}
}

// open opens the source.
func (s source) open(ctx context.Context, w *workspace.Workspace) (record.Reader, error) {
	if split, ok := strings.CutPrefix(s.Files[0], "kit:"); ok && len(s.Files) == 1 {
		return data.OpenKitRecords(kit.Split(split), s.kitPictures)
	}
	return formats.Open(ctx, s.Source, formatOptions(w, sourceName(s.Source)))
}

// warnOf logs what a reader says about its source as a whole.
func warnOf(w *workspace.Workspace, r record.Reader) {
	for _, text := range r.Warnings() {
		w.Log().Warn("source: " + text)
	}
}

// sourcesOf returns the sources of a table of a recipe. Annotation files are sources in LAVIS's
// format.
func sourcesOf(s recipes.Source) []source {
	if s.ID != "" {
		return []source{{formats.Source{Files: []string{s.ID}}, s.Pictures}}
	}
	var all []source
	if s.Lazy() {
		for _, in := range s.Sources() {
			all = append(all, source{Source: in})
		}
		return all
	}
	for _, file := range []string{s.Annotations, s.Questions} {
		if file != "" {
			all = append(all, source{Source: formats.Source{Files: []string{file}, Images: s.Images, Format: "lavis"}})
		}
	}
	return all
}
