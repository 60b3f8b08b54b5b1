package formats

import (
	"context"

	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/folders"
	"github.com/modular-bridging/bridge/data/interleaved"
	"github.com/modular-bridging/bridge/data/lavis"
	"github.com/modular-bridging/bridge/data/llava"
	"github.com/modular-bridging/bridge/data/official"
	"github.com/modular-bridging/bridge/data/record"
	"github.com/modular-bridging/bridge/data/shards"
	"github.com/modular-bridging/bridge/data/tables"
)

// Source names files of one format.
type Source struct {
	Files []string // paths and brace lists, as [shards.Expand] reads them
	// Images is the folder of the pictures that the files name. If it is empty, that is the folder
	// of the first file.
	Images string
	Format string // one of [Names]; empty means that the content tells it
}

// Options says how a source is opened. The zero value is ready to use.
type Options struct {
	CacheDir string                  // for indices that cannot be written beside their source
	Progress func(done, total int64) // of the scan that makes an index, in bytes; may be nil
	Log      *slog.Logger            // nil discards
}

// opener opens files of a format.
type opener func(ctx context.Context, files []string, images string, o Options) (record.Reader, error)

// openers are the formats.
func openers() map[string]opener {
	all := map[string]opener{
		shards.Format: openShards,
		folders.Format: func(_ context.Context, files []string, _ string, _ Options) (record.Reader, error) {
			return folders.Open(files)
		},
		tables.Format: func(_ context.Context, files []string, images string, _ Options) (record.Reader, error) {
			return tables.Open(files, images)
		},
		lavis.Format: named(lavis.Open),
		lavis.TableFormat: named(func(files []string, images string) (record.Reader, error) {
			return lavis.OpenTables(files, images)
		}),
		llava.Format: named(llava.Open),
	}
	for _, format := range []string{interleaved.MMC4, interleaved.Obelics} {
		all[format] = named(func(files []string, images string) (record.Reader, error) {
			return interleaved.Open(format, files, images)
		})
	}
	for _, format := range official.Formats() {
		all[format] = named(func(files []string, images string) (record.Reader, error) {
			return official.Open(format, files, images)
		})
	}
	return all
}

// named returns an opener of files that name their pictures.
func named(open func(files []string, images string) (record.Reader, error)) opener {
	return func(_ context.Context, files []string, images string, _ Options) (record.Reader, error) {
		if images == "" {
			images = filepath.Dir(files[0])
		}
		return open(files, images)
	}
}

func openShards(ctx context.Context, files []string, _ string, o Options) (record.Reader, error) {
	progress := o.Progress
	if o.Log != nil {
		said := false
		progress = func(done, total int64) {
			if !said {
				o.Log.Info("reading the headers of the shards, once; their index is kept", "shards", len(files), "bytes", total)
				said = true
			}
			if o.Progress != nil {
				o.Progress(done, total)
			}
		}
	}
	return shards.Open(ctx, files, shards.Options{CacheDir: o.CacheDir, Progress: progress})
}

// Names returns the names of the formats.
func Names() []string {
	var names []string
	for name := range openers() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Open opens a source. All files must have one format.
func Open(ctx context.Context, s Source, o Options) (record.Reader, error) {
	files, err := expand(s.Files)
	if err != nil {
		return nil, err
	}
	format := s.Format
	if format == "" {
		if format, err = detectAll(files); err != nil {
			return nil, err
		}
	}
	open, ok := openers()[format]
	if !ok {
		return nil, adapters.Errorf(adapters.Invalid, "format %q, want one of %s", format, strings.Join(Names(), ", "))
	}
	if err := checkFolder(s.Images); err != nil {
		return nil, err
	}
	r, err := open(ctx, files, s.Images, o)
	if err != nil {
		return nil, err // not a nil pointer of the reader's type
	}
	return r, nil
}

// checkFolder refuses a folder of pictures that is not there: a typing error would make every record
// with a picture a bad one, and records of text alone would be left. "" names none.
func checkFolder(images string) error {
	if images == "" {
		return nil
	}
	info, err := os.Stat(images)
	if err != nil {
		return adapters.Errorf(adapters.NotFound, "folder of pictures: %w", err).WithRemedy("a relative path begins at the working folder")
	}
	if !info.IsDir() {
		return adapters.Errorf(adapters.Invalid, "folder of pictures: %s is no folder", images)
	}
	return nil
}

// expand returns the files that the patterns name.
func expand(patterns []string) ([]string, error) {
	var files []string
	for _, pattern := range patterns {
		found, err := shards.Expand(pattern)
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		return nil, adapters.Errorf(adapters.Invalid, "the source names no file")
	}
	return files, nil
}

// detectAll returns the format of all files. Of tar shards it looks at the first alone, because
// their reader checks each.
func detectAll(files []string) (string, error) {
	first, err := Detect(files[0])
	if err != nil || first == shards.Format {
		return first, err
	}
	for _, file := range files[1:] {
		format, err := Detect(file)
		if err != nil {
			return "", err
		}
		if format != first {
			return "", adapters.Errorf(adapters.Invalid, "%s is %s, and %s is %s; want one format in a source", files[0], first, file, format).
				WithRemedy("make a mixture of two sources")
		}
	}
	return first, nil
}
