package interleaved

import (
	"fmt"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/internal/document"
	"github.com/modular-bridging/bridge/data/internal/jsonrows"
	"github.com/modular-bridging/bridge/data/internal/jsonvalue"
	"github.com/modular-bridging/bridge/data/internal/parts"
	"github.com/modular-bridging/bridge/data/internal/rowreader"
	"github.com/modular-bridging/bridge/data/record"
)

// The names of the formats in a recipe.
const (
	MMC4    = "mmc4"
	Obelics = "obelics"
)

// Open opens JSON lines, or lists, of documents. images is the folder of their pictures, and may
// be empty if MMC4's documents hold them. It refuses files whose first document with pictures has
// their addresses alone.
func Open(format string, paths []string, images string) (record.Reader, error) {
	files, err := rowreader.OpenAll(paths)
	if err != nil {
		return nil, err
	}
	var sources []rowreader.Source
	for _, f := range files {
		sources = append(sources, rowreader.Source{File: f, Rows: f.Rows})
		if err := checkFirst(f, format, images); err != nil {
			rowreader.CloseAll(files)
			return nil, err
		}
	}
	return rowreader.New(format, sources, func(data []byte, at rowreader.At) (record.Record, error) {
		return parse(data, at, format, images)
	})
}

// checkFirst returns an error if the first row of a file is no document of the format, or if the
// first pictures are addresses.
func checkFirst(f *jsonrows.File, format, images string) error {
	const looked = 100
	for i, row := range f.Rows[:min(looked, len(f.Rows))] {
		data, err := f.Read(row)
		if err != nil {
			return err
		}
		o, err := jsonvalue.ParseObject(data)
		if err != nil {
			continue // a bad record
		}
		if i == 0 && !(format == MMC4 && document.IsMMC4(o) || format == Obelics && document.IsObelics(o)) {
			return adapters.Errorf(adapters.Invalid, "%s: the first document is none of %s", f.Path, format).
				WithRemedy(`MMC4 has "text_list" and "image_info"; OBELICS has "texts" and "images", two lists of equal length`)
		}
		all, err := fromObject(o, format, images)
		if adapters.KindOf(err) == adapters.Unsupported {
			return adapters.Errorf(adapters.Unsupported, "%s: document %d: %w", f.Path, i, err)
		} else if err == nil && hasPicture(all) {
			return nil
		}
	}
	return nil
}

func hasPicture(all []record.Part) bool {
	return len(record.Record{Parts: all}.Pictures()) > 0
}

func parse(data []byte, at rowreader.At, format, images string) (record.Record, error) {
	o, err := jsonvalue.ParseObject(data)
	if err != nil {
		return record.Record{}, fmt.Errorf("%s %w", at.Name("the document"), err)
	}
	all, err := fromObject(o, format, images)
	return record.Record{Parts: all}, err
}

func fromObject(o jsonvalue.Object, format, images string) ([]record.Part, error) {
	folder := parts.Folder(images)
	if format == MMC4 {
		return document.FromMMC4(o, document.In(folder))
	}
	texts, ok := o["texts"].([]any)
	if pictures, also := o["images"].([]any); ok && also && len(texts) != len(pictures) {
		return nil, fmt.Errorf(`"texts" has %d places and "images" %d, want equal numbers`, len(texts), len(pictures))
	}
	if !document.IsObelics(o) {
		return nil, fmt.Errorf(`"texts" and "images" are %s and %s, want two lists of equal length`, jsonvalue.Describe(o["texts"]), jsonvalue.Describe(o["images"]))
	}
	return document.FromObelicsObject(o, folder)
}
