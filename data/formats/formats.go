// Package formats opens a source of any format that a recipe can name. It must not know any
// recipe or model.
package formats

import (
	"context"
	"log/slog"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/record"
	"github.com/modular-bridging/bridge/internal/printable"
)

// Source names the files of a source.
type Source struct {
	Files  []string // paths and brace lists, not expanded
	Images string   // folder of the pictures that files name; may be empty
	Format string   // empty means that of the content
}

// Options say how a source is opened. The zero value is fine.
type Options struct {
	CacheDir string                  // where indexes go if they cannot be written beside the source
	Progress func(done, total int64) // is called while an index is built; may be nil
	Log      *slog.Logger            // nil discards
}

// Names returns the formats that a recipe can name.
func Names() []string { return []string{"lavis", "llava"} }

// Open opens a source. Several files of one format are one reader.
func Open(_ context.Context, s Source, _ Options) (record.Reader, error) {
	if len(s.Files) != 1 {
		return nil, adapters.Errorf(adapters.Invalid, "%d files, want one", len(s.Files))
	}
	format := s.Format
	if format == "" {
		var err error
		if format, err = Detect(s.Files[0]); err != nil {
			return nil, err
		}
	}
	if !slices.Contains(Names(), format) {
		return nil, adapters.Errorf(adapters.Unsupported, "format %s", printable.Quote(format))
	}
	return openList(s.Files[0], s.Images, format)
}
