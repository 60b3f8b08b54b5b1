package official

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/internal/jsonrows"
	"github.com/modular-bridging/bridge/data/internal/jsonvalue"
	"github.com/modular-bridging/bridge/data/internal/parts"
	"github.com/modular-bridging/bridge/data/internal/rowreader"
	"github.com/modular-bridging/bridge/data/record"
)

// openVQA opens files of VQAv2 or OK-VQA: of questions, and of annotations, in any order. They are
// joined by question_id. Without annotations the records have no answers.
func openVQA(format string, paths []string, images parts.Folder) (record.Reader, error) {
	files, err := rowreader.OpenAll(paths)
	if err != nil {
		return nil, err
	}
	v, err := joinVQA(format, files)
	if err != nil {
		rowreader.CloseAll(files)
		return nil, err
	}
	r, err := rowreader.New(format, v.questions, func(data []byte, at rowreader.At) (record.Record, error) {
		return v.record(data, at, images)
	}, v.others...)
	if err != nil {
		return nil, err
	}
	if len(v.others) == 0 {
		r.Warn("%s: no file of annotations is named, so the questions have no answers", files[0].Path)
	}
	return r, nil
}

// vqa are questions and the places of their annotations.
type vqa struct {
	questions   []rowreader.Source
	subsets     []subset         // of each file of questions
	others      []*jsonrows.File // of annotations
	annotations map[id]annotation
}

// annotation is the place of an annotation.
type annotation struct {
	file *jsonrows.File
	row  jsonrows.Row
}

// joinVQA tells files of questions and of annotations apart.
func joinVQA(format string, files []*jsonrows.File) (*vqa, error) {
	v := &vqa{annotations: map[id]annotation{}}
	for _, f := range files {
		questions, annotations := f.Member("questions"), f.Member("annotations")
		switch {
		case questions != nil && questions.Items != nil:
			subset, err := subsetOf(f)
			if err != nil {
				return nil, err
			}
			v.subsets = append(v.subsets, subset)
			v.questions = append(v.questions, rowreader.Source{File: f, Rows: questions.Items})
		case annotations != nil && annotations.Items != nil:
			rows, err := byID(f, annotations.Items, "question_id")
			if err != nil {
				return nil, err
			}
			for of, all := range rows {
				if _, twice := v.annotations[of]; twice || len(all) > 1 {
					return nil, adapters.Errorf(adapters.Invalid, "%s: byte %d: question_id %s has two annotations, want one", f.Path, all[0].Offset, of)
				}
				v.annotations[of] = annotation{f, all[0]}
			}
			v.others = append(v.others, f)
		default:
			return nil, notOf(f, format, `an object with the list "questions" or "annotations"`)
		}
	}
	if len(v.questions) == 0 {
		return nil, adapters.Errorf(adapters.Invalid, "%s has the answers alone: the file of questions is missing", files[0].Path).
			WithRemedy("name both, such as v2_OpenEnded_mscoco_train2014_questions.json and v2_mscoco_train2014_annotations.json")
	}
	return v, nil
}

// subset names the pictures of a file: COCO_val2014_000000000042.jpg.
type subset struct {
	kind string // "COCO", or data_type of other data
	name string // "val2014"
}

// pictures returns the names that a picture may have.
func (s subset) pictures(of string) []string {
	name := s.kind + "_" + s.name + "_" + padded(of)
	if s.kind == "COCO" {
		return cocoNames(name + ".jpg")
	}
	return []string{name + ".png", name + ".jpg"}
}

// subsetOf returns the pictures that a file is about.
func subsetOf(f *jsonrows.File) (subset, error) {
	s := subset{kind: "COCO"}
	kind, err := memberText(f, "data_type")
	if err != nil {
		return s, err
	}
	if kind != "" && kind != "mscoco" {
		s.kind = kind
	}
	if s.name, err = memberText(f, "data_subtype"); err != nil {
		return s, err
	}
	if s.name == "" {
		return s, adapters.Errorf(adapters.Invalid, `%s: "data_subtype" is missing, which names the pictures' subset, such as train2014`, f.Path)
	}
	if before, _, ok := strings.Cut(s.name, "-"); ok { // test-dev2015 is a part of test2015
		s.name = before + s.name[len(s.name)-len("2015"):]
	}
	return s, nil
}

// memberText returns the text of a member of a file; "" if there is none.
func memberText(f *jsonrows.File, name string) (text string, err error) {
	m := f.Member(name)
	if m == nil {
		return "", nil
	}
	data, err := f.Read(m.Value)
	if err == nil {
		err = json.Unmarshal(data, &text)
	}
	if err != nil {
		return "", adapters.Errorf(adapters.Invalid, `%s: %q is no text: %w`, f.Path, name, err)
	}
	return text, nil
}

// record joins a question with its annotation.
func (v *vqa) record(data []byte, at rowreader.At, images parts.Folder) (record.Record, error) {
	o, err := jsonvalue.ParseObject(data)
	if err != nil {
		return record.Record{}, fmt.Errorf("the question's row %w", err)
	}
	question, err := textOf(o, "question")
	if err != nil {
		return record.Record{}, err
	}
	of, err := idOf(o, "image_id")
	if err != nil {
		return record.Record{}, err
	}
	annotation, err := v.annotation(jsonvalue.ID(o["question_id"]))
	if err != nil {
		return record.Record{}, err
	}
	kind, answers, err := annotated(annotation)
	if err != nil {
		return record.Record{}, err
	}
	p, err := images.FirstOf(v.subsets[at.Source].pictures(of)...)
	r, err := about(p, err, of, parts.QA(question, kind, answers))
	maps.Copy(o, annotation)
	r.Row = o
	return r, err
}

// padded returns an id of COCO with the 12 digits that it has in names of files.
func padded(of string) string {
	const digits = 12
	return strings.Repeat("0", max(0, digits-len(of))) + of
}

// annotation returns the annotation of a question; nil if no file has annotations.
func (v *vqa) annotation(question string) (jsonvalue.Object, error) {
	if len(v.others) == 0 {
		return nil, nil
	}
	a, ok := v.annotations[id(question)]
	if !ok {
		return nil, fmt.Errorf("no annotation has its question_id, %s", question)
	}
	o, err := object(a.file, a.row)
	if err != nil {
		return nil, fmt.Errorf("the annotation at byte %d of %s %w", a.row.Offset, a.file.Path, err)
	}
	return o, nil
}

// annotated returns the kind and the answers of a question by its annotation.
func annotated(o jsonvalue.Object) (kind string, answers []string, err error) {
	if kind, err = jsonvalue.Text(o, "answer_type"); err != nil {
		return "", nil, err
	}
	answers, err = answersOf(o, "answers")
	return kind, answers, err
}

// asked returns a record of a question in one row.
func asked(o jsonvalue.Object, p *record.Picture, err error, group, kind string, answers []string) (record.Record, error) {
	if err != nil {
		return record.Record{}, err
	}
	question, err := textOf(o, "question")
	if err != nil {
		return record.Record{}, err
	}
	return about(p, nil, group, parts.QA(question, kind, answers))
}

// openAOKVQA opens files of A-OKVQA. The direct answers of ten people are the answers.
func openAOKVQA(format string, paths []string, images parts.Folder) (record.Reader, error) {
	return openRows(format, paths, listOf(format), func(o jsonvalue.Object) (record.Record, error) {
		of, err := idOf(o, "image_id")
		if err != nil {
			return record.Record{}, err
		}
		answers, err := jsonvalue.Texts(o, "direct_answers")
		if err != nil {
			return record.Record{}, err
		}
		names := []string{padded(of) + ".jpg"}
		if split, _ := jsonvalue.Text(o, "split"); split != "" {
			names = append(names, split+"2017/"+names[0])
		}
		p, err := images.FirstOf(names...)
		return asked(o, p, err, of, "", answers)
	})
}

// openGQA opens files of GQA, each an object of questions by their ids. The kind of a question is
// its structural type.
func openGQA(format string, paths []string, images parts.Folder) (record.Reader, error) {
	return openMembers(format, paths, "questionId", membersOf(format), func(o jsonvalue.Object) (record.Record, error) {
		of, err := idOf(o, "imageId")
		if err != nil {
			return record.Record{}, err
		}
		kind := ""
		if types, ok := o["types"].(jsonvalue.Object); ok {
			kind, _ = types["structural"].(string)
		}
		answers, err := jsonvalue.Texts(o, "answer")
		if err != nil {
			return record.Record{}, err
		}
		p, err := images.FirstOf(of+".jpg", "images/"+of+".jpg")
		return asked(o, p, err, of, kind, answers)
	})
}

// openVizWiz opens files of VizWiz's questions.
func openVizWiz(format string, paths []string, images parts.Folder) (record.Reader, error) {
	return openRows(format, paths, listOf(format), func(o jsonvalue.Object) (record.Record, error) {
		name, err := textOf(o, "image")
		if err != nil {
			return record.Record{}, err
		}
		kind, err := jsonvalue.Text(o, "answer_type")
		if err != nil {
			return record.Record{}, err
		}
		answers, err := answersOf(o, "answers")
		if err != nil {
			return record.Record{}, err
		}
		names := []string{name}
		if rest, ok := strings.CutPrefix(name, "VizWiz_"); ok {
			subset, _, _ := strings.Cut(rest, "_")
			names = append(names, subset+"/"+name)
		}
		p, err := images.FirstOf(names...)
		return asked(o, p, err, name, kind, answers)
	})
}

// openTextVQA opens files of TextVQA.
func openTextVQA(format string, paths []string, images parts.Folder) (record.Reader, error) {
	return openRows(format, paths, listIn(format, "data"), func(o jsonvalue.Object) (record.Record, error) {
		of, err := idOf(o, "image_id")
		if err != nil {
			return record.Record{}, err
		}
		answers, err := jsonvalue.Texts(o, "answers")
		if err != nil {
			return record.Record{}, err
		}
		p, err := images.FirstOf(openImagesNames(o, of)...)
		return asked(o, p, err, of, "", answers)
	})
}

func genomeQuestion(o jsonvalue.Object, images parts.Folder) (record.Record, error) {
	of, err := idOf(o, "image_id")
	if err != nil {
		return record.Record{}, err
	}
	answers, err := jsonvalue.Texts(o, "answer")
	if err != nil {
		return record.Record{}, err
	}
	p, err := images.FirstOf(genomeNames(of)...)
	return asked(o, p, err, of, "", answers)
}
