package official

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/internal/jsonrows"
	"github.com/modular-bridging/bridge/data/internal/jsonvalue"
	"github.com/modular-bridging/bridge/data/internal/parts"
	"github.com/modular-bridging/bridge/data/internal/rowreader"
	"github.com/modular-bridging/bridge/data/record"
)

// The names of the formats in a recipe.
const (
	COCO         = "coco"
	Nocaps       = "nocaps"
	Karpathy     = "karpathy"
	Flickr30k    = "flickr30k"
	TextCaps     = "textcaps"
	VisualGenome = "visual-genome"
	VQAv2        = "vqav2"
	OKVQA        = "okvqa"
	AOKVQA       = "aokvqa"
	GQA          = "gqa"
	VizWiz       = "vizwiz"
	TextVQA      = "textvqa"
)

// openers are the formats. images is the folder of the pictures.
var openers = map[string]func(format string, paths []string, images parts.Folder) (record.Reader, error){
	COCO: openCOCO, Nocaps: openCOCO, Karpathy: openKarpathy, Flickr30k: openFlickr, TextCaps: openTextCaps, VisualGenome: openGenome,
	VQAv2: openVQA, OKVQA: openVQA, AOKVQA: openAOKVQA, GQA: openGQA, VizWiz: openVizWiz, TextVQA: openTextVQA,
}

// Formats returns the names of the formats.
func Formats() []string { return slices.Sorted(maps.Keys(openers)) }

// Open opens files of a format. images is the folder of their pictures. Of Karpathy's splits, each
// path ends in #SPLIT or #SPLIT+SPLIT.
func Open(format string, paths []string, images string) (record.Reader, error) {
	open, ok := openers[format]
	if !ok {
		return nil, adapters.Errorf(adapters.Invalid, "format %q, want one of %s", format, strings.Join(Formats(), ", "))
	}
	return open(format, paths, parts.Folder(images))
}

// openRows opens files whose rows are found by rows, and makes a record of each by parse.
func openRows(format string, paths []string, rows func(*jsonrows.File) ([]jsonrows.Row, error), parse func(jsonvalue.Object) (record.Record, error)) (record.Reader, error) {
	files, err := rowreader.OpenAll(paths)
	if err != nil {
		return nil, err
	}
	var sources []rowreader.Source
	for _, f := range files {
		found, err := rows(f)
		if err != nil {
			rowreader.CloseAll(files)
			return nil, err
		}
		sources = append(sources, rowreader.Source{File: f, Rows: found})
	}
	return rowreader.New(format, sources, func(data []byte, _ rowreader.At) (record.Record, error) {
		o, err := jsonvalue.ParseObject(data)
		if err != nil {
			return record.Record{}, fmt.Errorf("the row %w", err)
		}
		return withRow(parse, o)
	})
}

// withRow returns the record that parse makes of a row, with the row.
func withRow(parse func(jsonvalue.Object) (record.Record, error), o jsonvalue.Object) (record.Record, error) {
	r, err := parse(o)
	r.Row = o
	return r, err
}

// openMembers opens files with an object of rows by their ids. pick returns the members of a file
// that are rows. Each row gets its id under key.
func openMembers(format string, paths []string, key string, pick func(*jsonrows.File) ([]jsonrows.Member, error),
	parse func(jsonvalue.Object) (record.Record, error)) (record.Reader, error) {
	files, err := rowreader.OpenAll(paths)
	if err != nil {
		return nil, err
	}
	var sources []rowreader.Source
	var ids [][]string
	for _, f := range files {
		members, err := pick(f)
		if err != nil {
			rowreader.CloseAll(files)
			return nil, err
		}
		rows, names := make([]jsonrows.Row, len(members)), make([]string, len(members))
		for i, m := range members {
			rows[i], names[i] = m.Value, m.Name
		}
		f.Members = nil // names has them
		sources, ids = append(sources, rowreader.Source{File: f, Rows: rows}), append(ids, names)
	}
	return rowreader.New(format, sources, func(data []byte, at rowreader.At) (record.Record, error) {
		o, err := jsonvalue.ParseObject(data)
		if err != nil {
			return record.Record{}, fmt.Errorf("the row %w", err)
		}
		o[key] = ids[at.Source][at.Index]
		return withRow(parse, o)
	})
}

// membersOf finds the rows of a file that is an object of questions by their ids.
func membersOf(format string) func(*jsonrows.File) ([]jsonrows.Member, error) {
	return func(f *jsonrows.File) ([]jsonrows.Member, error) {
		if f.List || len(f.Members) == 0 {
			return nil, notOf(f, format, "an object of questions by their ids")
		}
		return f.Members, nil
	}
}

// listIn returns a function that finds the rows in the list that a member of the file has.
func listIn(format, member string) func(*jsonrows.File) ([]jsonrows.Row, error) {
	return func(f *jsonrows.File) ([]jsonrows.Row, error) {
		m := f.Member(member)
		if m == nil || m.Items == nil {
			return nil, notOf(f, format, fmt.Sprintf("an object with the list %q", member))
		}
		return m.Items, nil
	}
}

// listOf finds the rows of a file that is a list.
func listOf(format string) func(*jsonrows.File) ([]jsonrows.Row, error) {
	return func(f *jsonrows.File) ([]jsonrows.Row, error) {
		if !f.List {
			return nil, notOf(f, format, "a list")
		}
		return f.Rows, nil
	}
}

// notOf returns the error of a file that is not of a format.
func notOf(f *jsonrows.File, format, want string) error {
	var names []string
	for _, m := range f.Members[:min(8, len(f.Members))] {
		names = append(names, fmt.Sprintf("%q", m.Name))
	}
	found := "a list"
	if !f.List {
		found = "an object with the keys " + strings.Join(names, ", ")
	}
	return adapters.Errorf(adapters.Invalid, "%s is no file of %s: it holds %s, want %s", f.Path, format, found, want)
}

// id is an id as text, whether it is a number or a text in the file.
type id string

// UnmarshalJSON reads a number or a text.
func (i *id) UnmarshalJSON(data []byte) error {
	v, err := jsonvalue.Parse(data)
	*i = id(jsonvalue.ID(v))
	return err
}

// byID returns the rows of a list by one of their ids. A row without it is an error.
func byID(f *jsonrows.File, rows []jsonrows.Row, key string) (map[id][]jsonrows.Row, error) {
	found := make(map[id][]jsonrows.Row, len(rows))
	for _, row := range rows {
		data, err := f.Read(row)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
		var o map[string]json.RawMessage
		var of id
		err = json.Unmarshal(data, &o)
		if err == nil {
			err = json.Unmarshal(o[key], &of)
		}
		if err != nil || of == "" {
			return nil, adapters.Errorf(adapters.Invalid, "%s: line %d, byte %d: the row has no %q, a number or a text", f.Path, row.Line, row.Offset, key)
		}
		found[of] = append(found[of], row)
	}
	return found, nil
}

// object reads a row.
func object(f *jsonrows.File, row jsonrows.Row) (jsonvalue.Object, error) {
	data, err := f.Read(row)
	if err != nil {
		return nil, err
	}
	return jsonvalue.ParseObject(data)
}

// textOf returns a text that must be there.
func textOf(o jsonvalue.Object, key string) (string, error) {
	text, err := jsonvalue.Text(o, key)
	if err == nil && strings.TrimSpace(text) == "" {
		err = fmt.Errorf("%q is missing or empty", key)
	}
	return text, err
}

// idOf returns an id that must be there.
func idOf(o jsonvalue.Object, key string) (string, error) {
	text := jsonvalue.ID(o[key])
	if text == "" {
		return "", fmt.Errorf("%q is %s, want a number or a text", key, jsonvalue.Describe(o[key]))
	}
	return text, nil
}

// answersOf returns the texts of a list of answers: texts, or objects with the key answer.
func answersOf(o jsonvalue.Object, key string) ([]string, error) {
	list, ok := o[key].([]any)
	if !ok {
		return jsonvalue.Texts(o, key)
	}
	var all []string
	for i, v := range list {
		if text, ok := v.(string); ok {
			all = append(all, text)
			continue
		}
		answer, ok := v.(jsonvalue.Object)
		if !ok {
			return nil, fmt.Errorf("item %d of %q is %s, want a text or an object with an answer", i, key, jsonvalue.Describe(v))
		}
		text, err := jsonvalue.Text(answer, "answer")
		if err != nil {
			return nil, fmt.Errorf("item %d of %q: %w", i, key, err)
		}
		all = append(all, text)
	}
	return all, nil
}

// about returns a record of a picture and other parts.
func about(p *record.Picture, err error, group string, others []record.Part) (record.Record, error) {
	r := record.Record{Group: group}
	if err != nil {
		return r, err
	}
	r.Parts = append([]record.Part{parts.Picture(p)}, others...)
	return r, nil
}
