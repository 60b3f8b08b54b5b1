package tasks

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/modular-bridging/bridge/data/official"
	"github.com/modular-bridging/bridge/data/record"
	"github.com/modular-bridging/bridge/eval/score"
)

// format says how a task's files are read.
type format struct {
	layout      string   // of data/official; empty if it is the format's name
	roles       []string // of the files, in the order in which the reader takes them
	split       bool     // the files have several
	ownPictures bool     // pictures lie beside the texts
	metrics     []string // that can score the samples
	types       []string // the kinds of groups that samples belong to
	candidates  candidates
	sample      func(r record.Record) (Sample, error)
}

// candidates says whose the candidates of a ranked sample are.
type candidates int

const (
	ofTask   candidates = iota // the task's file has them
	ofSample                   // each sample has its own
	ofLabel                    // the task's file has two, that of label 0 first
)

// The formats of splits whose answers only an evaluation server has.
const (
	VQAQuestions    = "vqav2-questions"
	VizWizQuestions = "vizwiz-questions"
)

// formats are those of package data/official, and those of splits without answers.
var formats = map[string]format{
	official.VQAv2:        {roles: []string{"questions", "annotations"}, metrics: []string{score.VQA}, types: []string{"answer_type", "question_type"}, sample: answered("question_id", "answer_type", "question_type")},
	official.OKVQA:        {roles: []string{"questions", "annotations"}, metrics: []string{score.VQA}, types: []string{"answer_type", "question_type"}, sample: answered("question_id", "answer_type", "question_type")},
	official.GQA:          {roles: []string{"questions"}, metrics: []string{score.GQA}, types: []string{"kind", "structural", "semantic"}, sample: gqaSample},
	official.VizWiz:       {roles: []string{"annotations"}, metrics: []string{score.VQA}, types: []string{"answer_type", "answerable"}, sample: answered("image", "answer_type", "answerable")},
	official.TextVQA:      {roles: []string{"annotations"}, metrics: []string{score.VQA}, sample: answered("question_id")},
	official.AOKVQA:       {roles: []string{"annotations"}, metrics: []string{score.AOKVQADirect, score.VQA, score.Choice}, types: []string{"difficult"}, candidates: ofSample, sample: aokvqaSample},
	official.COCO:         {roles: []string{"captions"}, metrics: []string{score.Captions}, sample: captionSample},
	official.Nocaps:       {roles: []string{"captions"}, metrics: []string{score.Captions}, types: []string{"domain"}, sample: nocapsSample},
	official.Karpathy:     {roles: []string{"captions"}, split: true, metrics: []string{score.Captions}, sample: captionSample},
	official.POPE:         {roles: []string{"questions"}, metrics: []string{score.POPE}, types: []string{"answer"}, sample: popeSample},
	official.ScienceQA:    {roles: []string{"questions", "splits"}, split: true, metrics: []string{score.Choice}, types: []string{"subject"}, candidates: ofSample, sample: scienceQASample},
	official.VSR:          {roles: []string{"questions"}, metrics: []string{score.Choice, score.ROCAUC}, types: []string{"answer", "relation"}, candidates: ofLabel, sample: vsrSample},
	official.HatefulMemes: {roles: []string{"questions"}, metrics: []string{score.Choice, score.ROCAUC}, types: []string{"answer"}, candidates: ofLabel, sample: memeSample},
	official.Retrieval:    {roles: []string{"captions"}, metrics: []string{score.Retrieval}, sample: retrievalSample},
	official.Winoground:   {roles: []string{"examples"}, metrics: []string{score.Winoground}, types: []string{"tag"}, sample: winogroundSample},
	official.TextCaps:     {roles: []string{"captions"}, metrics: []string{score.Captions}, layout: official.TextCapsByPicture, sample: captionSample},
	VQAQuestions:          {roles: []string{"questions"}, metrics: []string{score.Unscored}, layout: official.VQAv2, sample: unanswered("question_id")},
	VizWizQuestions:       {roles: []string{"annotations"}, metrics: []string{score.Unscored}, layout: official.VizWiz, sample: unanswered("image")},
	official.MME:          {roles: []string{"folder"}, ownPictures: true, metrics: []string{score.MME}, types: []string{"category"}, sample: mmeSample},
}

// Formats returns the names of the formats that a task may have.
func Formats() []string { return slices.Sorted(maps.Keys(formats)) }

// errNoAnswers is an error of a row without right answers.
var errNoAnswers = errors.New("the split may have no answers")

// text returns a value of a row as text: a text, or a number as the file writes it.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

// idIn returns an id, which must be there.
func idIn(r record.Record, key string) (string, error) {
	if of := text(r.Row[key]); of != "" {
		return of, nil
	}
	return "", fmt.Errorf("%q is missing, want a number or a text", key)
}

// texts returns a list of texts, or of objects with a text under key.
func texts(r record.Record, list, key string) ([]string, error) {
	items, ok := r.Row[list].([]any)
	if !ok || len(items) == 0 {
		return nil, fmt.Errorf("%q is missing or empty, want a list: %w", list, errNoAnswers)
	}
	out := make([]string, len(items))
	for i, item := range items {
		if o, isObject := item.(map[string]any); isObject {
			item = o[key]
		}
		t, ok := item.(string)
		if !ok {
			return nil, fmt.Errorf("item %d of %q has no text", i, list)
		}
		out[i] = t
	}
	return out, nil
}

// inner returns the text of a key in an object of the row.
func inner(r record.Record, object, key string) string {
	o, _ := r.Row[object].(map[string]any)
	return text(o[key])
}

// number returns a whole number of a row.
func number(r record.Record, key string) (int, error) {
	n, err := strconv.Atoi(text(r.Row[key]))
	if err != nil {
		return 0, fmt.Errorf("%q is %q, want a whole number", key, text(r.Row[key]))
	}
	return n, nil
}

// asked returns a sample with the question of a record.
func asked(r record.Record, id string, targets []string) Sample {
	s := Sample{ID: id, Targets: targets, Right: -1, Types: map[string]string{}}
	for _, p := range r.Parts {
		switch {
		case p.Picture != nil:
			s.Picture = p.Picture
		case p.Role == record.Question:
			s.Question = p.Texts[0].Text
		}
	}
	return s
}

// answered returns a function that makes samples of questions with the answers of people. idKey and types
// are the keys of the id and of the groups in a row.
func answered(idKey string, types ...string) func(r record.Record) (Sample, error) {
	return func(r record.Record) (Sample, error) {
		id, err := idIn(r, idKey)
		if err != nil {
			return Sample{}, err
		}
		answers, err := texts(r, "answers", "answer")
		s := asked(r, id, answers)
		for _, by := range types {
			s.Types[by] = text(r.Row[by])
		}
		return s, err
	}
}

// unanswered returns a function that makes samples of questions whose answers only a server has.
func unanswered(idKey string) func(r record.Record) (Sample, error) {
	return func(r record.Record) (Sample, error) {
		id, err := idIn(r, idKey)
		return asked(r, id, nil), err
	}
}

func gqaSample(r record.Record) (Sample, error) {
	id, err := idIn(r, "questionId")
	if err != nil {
		return Sample{}, err
	}
	answer, ok := r.Row["answer"].(string)
	if !ok {
		return Sample{}, fmt.Errorf(`"answer" is missing, want a text: %w`, errNoAnswers)
	}
	s := asked(r, id, []string{answer})
	s.Types["structural"], s.Types["semantic"] = inner(r, "types", "structural"), inner(r, "types", "semantic")
	if s.Types["kind"] = "binary"; s.Types["structural"] == "query" {
		s.Types["kind"] = "open"
	} else if s.Types["structural"] == "" {
		s.Types["kind"] = ""
	}
	s.Types["group"] = inner(r, "groups", "global")
	return s, nil
}

// aokvqaSample returns a question of A-OKVQA with its choices. The type difficult is "true" for the
// questions that the direct answers of the official scorer leave out.
func aokvqaSample(r record.Record) (Sample, error) {
	id, err := idIn(r, "question_id")
	if err != nil {
		return Sample{}, err
	}
	answers, err := texts(r, "direct_answers", "")
	if err != nil {
		return Sample{}, err
	}
	s := asked(r, id, answers)
	s.Types["difficult"] = text(r.Row["difficult_direct_answer"])
	if s.Choices, err = texts(r, "choices", ""); err == nil {
		s.Right, err = chosen(r, "correct_choice_idx", s.Choices)
	}
	return s, err
}

// chosen returns the number of the right choice.
func chosen(r record.Record, key string, choices []string) (int, error) {
	n, err := number(r, key)
	if err == nil && (n < 0 || n >= len(choices)) {
		err = fmt.Errorf("%q is %d, want the number of one of %d choices", key, n, len(choices))
	}
	return n, err
}

func captionSample(r record.Record) (Sample, error) {
	s := Sample{ID: r.Group, Right: -1, Types: map[string]string{}}
	for _, p := range r.Parts {
		if p.Picture != nil {
			s.Picture = p.Picture
			continue
		}
		for _, t := range p.Texts {
			s.Targets = append(s.Targets, t.Text)
		}
	}
	if len(s.Targets) == 0 {
		return s, fmt.Errorf("the picture has no captions, want those of people: %w", errNoAnswers)
	}
	return s, nil
}

func nocapsSample(r record.Record) (Sample, error) {
	s, err := captionSample(r)
	s.Types["domain"] = text(r.Row["domain"])
	return s, err
}

func popeSample(r record.Record) (Sample, error) {
	id, err := idIn(r, "question_id")
	if err != nil {
		return Sample{}, err
	}
	label := text(r.Row["label"])
	if label != "yes" && label != "no" {
		return Sample{}, fmt.Errorf(`"label" is %q, want yes or no`, label)
	}
	s := asked(r, id, []string{label})
	s.Types["answer"] = label
	return s, nil
}

func scienceQASample(r record.Record) (Sample, error) {
	id, err := idIn(r, "question_id")
	if err != nil {
		return Sample{}, err
	}
	s := asked(r, id, nil)
	s.Context, s.Types["subject"] = text(r.Row["hint"]), text(r.Row["subject"])
	if s.Choices, err = texts(r, "choices", ""); err != nil {
		return s, err
	}
	if s.Right, err = chosen(r, "answer", s.Choices); err == nil {
		s.Targets = []string{s.Choices[s.Right]}
	}
	return s, err
}

// binary sets the right one of the task's two candidates, no and yes.
func binary(r record.Record, s *Sample) (err error) {
	names := []string{"no", "yes"}
	if s.Right, err = chosen(r, "label", names); err == nil {
		s.Targets = []string{names[s.Right]}
		s.Types["answer"] = names[s.Right]
	}
	return err
}

// vsrSample returns a statement of VSR. Statements have no ids: the number of the row is the id.
func vsrSample(r record.Record) (Sample, error) {
	s := asked(r, r.Key, nil)
	s.Types["relation"] = text(r.Row["relation"])
	return s, binary(r, &s)
}

func memeSample(r record.Record) (Sample, error) {
	id, err := idIn(r, "id")
	if err != nil {
		return Sample{}, err
	}
	s := asked(r, id, nil)
	return s, binary(r, &s)
}

func retrievalSample(r record.Record) (Sample, error) {
	s, err := captionSample(r)
	s.Captions, s.Targets = s.Targets, nil
	return s, err
}

// winogroundSample returns an example of Winoground, which has two pictures.
func winogroundSample(r record.Record) (Sample, error) {
	s := Sample{ID: text(r.Row["id"]), Right: -1, Types: map[string]string{"tag": text(r.Row["collapsed_tag"])}}
	if s.ID == "" {
		s.ID = r.Key
	}
	pictures := r.Pictures()
	for _, p := range r.Parts {
		if p.Picture == nil {
			s.Captions = append(s.Captions, p.Texts[0].Text)
		}
	}
	if len(pictures) != 2 || len(s.Captions) != 2 {
		return s, fmt.Errorf("the example has %d pictures and %d captions, want 2 of each", len(pictures), len(s.Captions))
	}
	s.Picture, s.Second = pictures[0], pictures[1]
	return s, nil
}

func mmeSample(r record.Record) (Sample, error) {
	s := asked(r, r.Key, []string{text(r.Row["answer"])})
	s.Types["category"], s.Types["picture"] = text(r.Row["category"]), r.Group
	return s, nil
}
