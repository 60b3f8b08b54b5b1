// Package lavis reads the annotation files of LAVIS at random: JSON lists, JSON lines, objects of
// entries by id, and tables (CSV and TSV). Package annotations reads the entries.
//
// As in LAVIS, the extension decides whether a file is a table: .csv and .tsv are. Each entry is a
// record. Several files are one list.
package lavis

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/annotations"
	"github.com/modular-bridging/bridge/data/internal/jsonrows"
	"github.com/modular-bridging/bridge/data/internal/parts"
	"github.com/modular-bridging/bridge/data/internal/rowreader"
	"github.com/modular-bridging/bridge/data/record"
)

// Format is the name of the format of JSON files in a recipe.
const Format = "lavis"

// Open opens JSON files. images is the folder of their pictures.
func Open(paths []string, images string) (record.Reader, error) {
	files, err := rowreader.OpenAll(paths)
	if err != nil {
		return nil, err
	}
	sources := make([]rowreader.Source, len(files))
	for i, f := range files {
		sources[i] = rowreader.Source{File: f, Rows: f.Rows}
		if byID(f) {
			sources[i].Rows = values(f)
		}
		if err := checkFirst(f, sources[i].Rows); err != nil {
			rowreader.CloseAll(files)
			return nil, err
		}
	}
	folder := parts.Folder(images)
	return rowreader.New(Format, sources, func(data []byte, at rowreader.At) (record.Record, error) {
		e, err := annotations.ParseEntry(data, placeOf(at.Index, at.Row), annotations.Captions)
		if err != nil {
			return record.Record{}, adapters.WithoutRemedy(err)
		}
		return fromEntry(e, folder)
	})
}

func placeOf(index int, row jsonrows.Row) annotations.Place {
	return annotations.Place{Index: index, Line: int(row.Line), Offset: row.Offset}
}

// byID reports whether a file is an object of entries by their ids, whose values are objects. LAVIS
// reads it, too.
func byID(f *jsonrows.File) bool {
	if f.List || len(f.Members) == 0 {
		return false
	}
	data, err := f.Read(f.Members[0].Value)
	return err == nil && len(data) > 0 && data[0] == '{'
}

func values(f *jsonrows.File) []jsonrows.Row {
	var rows []jsonrows.Row
	for _, m := range f.Members {
		rows = append(rows, m.Value)
	}
	return rows
}

// checkFirst returns the error of the first entry of a file if the next ones are wrong, too: then
// the file is no annotation file.
func checkFirst(f *jsonrows.File, rows []jsonrows.Row) error {
	const looked = 5
	var first error
	for i, row := range rows[:min(looked, len(rows))] {
		data, err := f.Read(row)
		if err == nil {
			_, err = annotations.ParseEntry(data, placeOf(i, row), annotations.Captions)
		}
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		return nil
	}
	named := adapters.Errorf(adapters.Invalid, "%s: %w", f.Path, adapters.WithoutRemedy(first))
	var inner *adapters.Error
	if errors.As(first, &inner) && inner.Remedy != "" {
		return named.WithRemedy("%s", inner.Remedy)
	}
	return named
}

// fromEntry makes a record of an entry.
func fromEntry(e annotations.Entry, folder parts.Folder) (record.Record, error) {
	r := record.Record{Group: e.ImageID}
	p, err := folder.Picture(e.Image)
	if err != nil {
		return r, err
	}
	r.Parts = append(r.Parts, parts.Picture(p))
	captions := parts.Captions(e.Captions)
	if strings.TrimSpace(e.Question) == "" {
		r.Parts = append(r.Parts, captions...)
		return r, nil
	}
	if captions != nil {
		return r, errors.New("the entry has both a caption and a question, want one of them in an entry")
	}
	r.Parts = append(r.Parts, parts.QA(e.Question, e.Kind, e.Answers)...)
	return r, nil
}

// entryOf makes an entry of the cells of a table's row. An empty cell is a missing value.
func entryOf(header, cells []string) (annotations.Entry, error) {
	var e annotations.Entry
	for i, name := range header {
		if i >= len(cells) || cells[i] == "" {
			continue
		}
		switch cell := cells[i]; name {
		case "image":
			e.Image = cell
		case "image_id":
			e.ImageID = cell
		case "caption":
			e.Captions = []string{cell}
		case "question":
			e.Question = cell
		case "answer":
			e.Answers = texts(cell)
		case "kind":
			e.Kind = cell
		}
	}
	if e.Image == "" {
		return e, fmt.Errorf(`"image" is empty`)
	}
	return e, nil
}

// texts returns the answers in a cell: those of a JSON list of texts, or the cell itself.
func texts(cell string) []string {
	var list []string
	if strings.HasPrefix(cell, "[") && json.Unmarshal([]byte(cell), &list) == nil {
		return list
	}
	return []string{cell}
}
