package official

import (
	"fmt"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/internal/jsonrows"
	"github.com/modular-bridging/bridge/data/internal/jsonvalue"
	"github.com/modular-bridging/bridge/data/internal/parts"
	"github.com/modular-bridging/bridge/data/internal/rowreader"
	"github.com/modular-bridging/bridge/data/record"
)

// openCOCO opens files with the lists images and annotations. Each picture is a record, with all
// its captions. VizWiz's captions that were rejected, or are one of its fixed sentences, are left
// out, as its own evaluation does.
func openCOCO(format string, paths []string, images parts.Folder) (record.Reader, error) {
	files, err := rowreader.OpenAll(paths)
	if err != nil {
		return nil, err
	}
	sources, captions, err := joinCOCO(format, files)
	if err != nil {
		rowreader.CloseAll(files)
		return nil, err
	}
	r, err := rowreader.New(format, sources, func(data []byte, at rowreader.At) (record.Record, error) {
		o, err := jsonvalue.ParseObject(data)
		if err != nil {
			return record.Record{}, fmt.Errorf("the picture's row %w", err)
		}
		of, err := idOf(o, "id")
		if err != nil {
			return record.Record{}, err
		}
		var texts []string
		for _, row := range captions[at.Source][id(of)] {
			caption, err := cocoCaption(files[at.Source], row)
			if err != nil {
				return record.Record{}, err
			}
			texts = append(texts, caption...)
		}
		name, err := textOf(o, "file_name")
		if err != nil {
			return record.Record{}, err
		}
		p, err := images.FirstOf(cocoNames(name)...)
		r, err := about(p, err, of, parts.Captions(texts))
		r.Row = o
		return r, err
	})
	if err != nil {
		return nil, err
	}
	for i, s := range sources {
		if n := withoutPicture(s, captions[i]); n > 0 {
			r.Warn("%s: annotations whose image_id no picture has, which are left out: %d", s.File.Path, n)
		}
	}
	return r, nil
}

// withoutPicture returns the number of captions whose picture a file does not list.
func withoutPicture(s rowreader.Source, captions map[id][]jsonrows.Row) int {
	if len(captions) == 0 {
		return 0
	}
	listed := make(map[id]bool, len(s.Rows))
	for _, row := range s.Rows {
		if o, err := object(s.File, row); err == nil { // a damaged row is a bad record later
			listed[id(jsonvalue.ID(o["id"]))] = true
		}
	}
	n := 0
	for of, rows := range captions {
		if !listed[of] {
			n += len(rows)
		}
	}
	return n
}

// joinCOCO finds the pictures and the captions of each.
func joinCOCO(format string, files []*jsonrows.File) (sources []rowreader.Source, captions []map[id][]jsonrows.Row, err error) {
	for _, f := range files {
		rows, err := listIn(format, "images")(f)
		if err != nil {
			return nil, nil, err
		}
		var of map[id][]jsonrows.Row
		if m := f.Member("annotations"); m != nil {
			if of, err = byID(f, m.Items, "image_id"); err != nil {
				return nil, nil, err
			}
		}
		sources, captions = append(sources, rowreader.Source{File: f, Rows: rows}), append(captions, of)
	}
	return sources, captions, nil
}

// cocoCaption returns the caption of an annotation; nil if it is not to be used.
func cocoCaption(f *jsonrows.File, row jsonrows.Row) ([]string, error) {
	o, err := object(f, row)
	if err != nil {
		return nil, fmt.Errorf("the annotation at byte %d %w", row.Offset, err)
	}
	if o["is_rejected"] == true || o["is_precanned"] == true {
		return nil, nil
	}
	text, ok := o["caption"].(string)
	if !ok {
		return nil, fmt.Errorf(`the annotation at byte %d: "caption" is %s, want a text`, row.Offset, jsonvalue.Describe(o["caption"]))
	}
	return []string{text}, nil
}

// cocoNames returns the names that a file of COCO may have: as it is, and in the folder of its
// subset, which the name of a file of 2014 has in it.
func cocoNames(name string) []string {
	names := []string{name}
	if rest, ok := strings.CutPrefix(name, "COCO_"); ok {
		if subset, _, ok := strings.Cut(rest, "_"); ok {
			names = append(names, subset+"/"+name)
		}
	}
	return names
}

// openKarpathy opens files of Karpathy's splits. Each picture of the splits that a path names is a
// record, with all its captions.
func openKarpathy(format string, paths []string, images parts.Folder) (record.Reader, error) {
	var plain []string
	var splits [][]string
	for _, path := range paths {
		file, names := SplitPath(path)
		plain, splits = append(plain, file), append(splits, strings.Split(names, "+"))
	}
	n := -1
	return openRows(format, plain, func(f *jsonrows.File) ([]jsonrows.Row, error) {
		n++
		rows, err := listIn(format, "images")(f)
		if err != nil {
			return nil, err
		}
		return inSplits(f, rows, splits[n])
	}, func(o jsonvalue.Object) (record.Record, error) {
		return karpathyRecord(o, images)
	})
}

// SplitPath separates a path from the splits behind its last #, such as train+restval; "" if there
// are none.
func SplitPath(path string) (file, splits string) {
	i := strings.LastIndexByte(path, '#')
	if i < 0 || strings.ContainsRune(path[i:], '/') {
		return path, ""
	}
	return path[:i], path[i+1:]
}

// inSplits returns the pictures of some splits. It refuses names that the file does not have, and
// no names, because the file holds the pictures for testing, too.
func inSplits(f *jsonrows.File, rows []jsonrows.Row, want []string) ([]jsonrows.Row, error) {
	counts := map[string]int{}
	var found []jsonrows.Row
	for _, row := range rows {
		o, err := object(f, row)
		if err != nil {
			return nil, adapters.Errorf(adapters.Invalid, "%s: byte %d: the row %w", f.Path, row.Offset, err)
		}
		split, err := textOf(o, "split")
		if err != nil {
			return nil, adapters.Errorf(adapters.Invalid, "%s: byte %d: %w", f.Path, row.Offset, err)
		}
		if counts[split]++; slices.Contains(want, split) {
			found = append(found, row)
		}
	}
	var has []string
	for split, n := range counts {
		has = append(has, fmt.Sprintf("%s (%d)", split, n))
	}
	slices.Sort(has)
	for _, split := range want {
		if counts[split] == 0 && split == "" {
			return nil, adapters.Errorf(adapters.Invalid, "%s: no split is named, and the file has %s", f.Path, strings.Join(has, ", ")).
				WithRemedy("name splits behind the file, such as %s#train+restval, so that no picture for testing is trained on", f.Path)
		}
		if counts[split] == 0 {
			return nil, adapters.Errorf(adapters.Invalid, "%s: the split %q is named, and the file has %s", f.Path, split, strings.Join(has, ", ")).
				WithRemedy("name splits behind the file, such as %s#train+restval, so that no picture for testing is trained on", f.Path)
		}
	}
	return found, nil
}

func karpathyRecord(o jsonvalue.Object, images parts.Folder) (record.Record, error) {
	name, err := textOf(o, "filename")
	if err != nil {
		return record.Record{}, err
	}
	names := []string{name}
	if folder, _ := jsonvalue.Text(o, "filepath"); folder != "" {
		names = []string{folder + "/" + name, name}
	}
	texts, err := textsIn(o, "sentences", func(sentence jsonvalue.Object) (string, error) { return textOf(sentence, "raw") })
	if err != nil {
		return record.Record{}, err
	}
	group := jsonvalue.ID(o["cocoid"])
	if group == "" {
		group = jsonvalue.ID(o["imgid"])
	}
	p, err := images.FirstOf(names...)
	return about(p, err, group, parts.Captions(texts))
}

// openTextCaps opens files of TextCaps. Each caption is a record, as in the file.
func openTextCaps(format string, paths []string, images parts.Folder) (record.Reader, error) {
	return openRows(format, paths, listIn(format, "data"), func(o jsonvalue.Object) (record.Record, error) {
		of, caption, err := textCapsRow(o)
		if err != nil {
			return record.Record{}, err
		}
		p, err := images.FirstOf(openImagesNames(o, of)...)
		return about(p, err, of, parts.Captions([]string{caption}))
	})
}

// textCapsRow returns the picture's id and the caption of a row of TextCaps.
func textCapsRow(o jsonvalue.Object) (of, caption string, err error) {
	if of, err = idOf(o, "image_id"); err == nil {
		caption, err = jsonvalue.Text(o, "caption_str")
	}
	return of, caption, err
}

// openImagesNames returns the names that a picture of TextVQA or TextCaps may have.
func openImagesNames(o jsonvalue.Object, of string) []string {
	folder := "train_images"
	if set, _ := jsonvalue.Text(o, "set_name"); set == "test" {
		folder = "test_images"
	}
	return []string{of + ".jpg", folder + "/" + of + ".jpg"}
}

// openGenome opens files of Visual Genome: region_descriptions.json, whose phrases are captions of
// the whole picture as in LAVIS, or question_answers.json.
func openGenome(format string, paths []string, images parts.Folder) (record.Reader, error) {
	return openRows(format, paths, func(f *jsonrows.File) ([]jsonrows.Row, error) {
		rows, err := listOf(format)(f)
		if err != nil || len(rows) == 0 {
			return rows, err
		}
		o, err := object(f, rows[0])
		if err != nil {
			return nil, notOf(f, format, "a list of objects with regions or qas")
		}
		switch {
		case o["regions"] != nil:
			return rows, nil
		case o["qas"] != nil:
			return inside(f, rows, "qas")
		}
		return nil, notOf(f, format, "a list of objects with regions or qas")
	}, func(o jsonvalue.Object) (record.Record, error) {
		if o["regions"] != nil {
			return genomeRegions(o, images)
		}
		return genomeQuestion(o, images)
	})
}

// inside returns the rows in a list of each row.
func inside(f *jsonrows.File, rows []jsonrows.Row, key string) ([]jsonrows.Row, error) {
	var all []jsonrows.Row
	for _, row := range rows {
		found, err := f.Inside(row, key)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func genomeRegions(o jsonvalue.Object, images parts.Folder) (record.Record, error) {
	of, err := idOf(o, "id")
	if err != nil {
		return record.Record{}, err
	}
	phrases, err := textsIn(o, "regions", func(region jsonvalue.Object) (string, error) { return jsonvalue.Text(region, "phrase") })
	if err != nil {
		return record.Record{}, err
	}
	p, err := images.FirstOf(genomeNames(of)...)
	return about(p, err, of, parts.Captions(phrases))
}

// textsIn returns a text of each object in a list of o.
func textsIn(o jsonvalue.Object, list string, text func(item jsonvalue.Object) (string, error)) ([]string, error) {
	items, ok := o[list].([]any)
	if !ok {
		return nil, fmt.Errorf("%q is %s, want a list", list, jsonvalue.Describe(o[list]))
	}
	texts := make([]string, len(items))
	for i, v := range items {
		item, _ := v.(jsonvalue.Object)
		var err error
		if texts[i], err = text(item); err != nil {
			return nil, fmt.Errorf("item %d of %q: %w", i, list, err)
		}
	}
	return texts, nil
}

// genomeNames returns the names that a picture may have: Visual Genome comes in two folders.
func genomeNames(of string) []string {
	return []string{of + ".jpg", "VG_100K/" + of + ".jpg", "VG_100K_2/" + of + ".jpg"}
}
