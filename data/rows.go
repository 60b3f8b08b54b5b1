package data

import (
	"math"
	"slices"

	"github.com/modular-bridging/bridge/data/record"
)

// rowOf returns the row that a record is: a picture with captions, a picture with a question,
// or a sequence. If process is set, captions and questions are prepared as LAVIS does; the
// texts of a document stay as they are.
func rowOf(r record.Record, process bool) Record {
	var pictures int
	var texts []record.Part
	for _, p := range r.Parts {
		switch {
		case p.Picture != nil:
			pictures++
		case slices.ContainsFunc(p.Texts, func(t record.Text) bool { return !blank(t.Text) }):
			texts = append(texts, p)
		}
	}
	captions := func(p record.Part) bool { return p.Role == record.Plain && p.Target }
	switch {
	case pictures == 1 && len(texts) == 0:
		return Record{}
	case pictures == 1 && len(texts) == 1 && captions(texts[0]):
		return captioned(texts[0], process)
	case pictures == 1 && len(texts) == 2 && asks(texts):
		return Record{Questions: []QA{questionOf(texts, process)}}
	}
	out := Record{Sequence: prepared(r.Parts, process)}
	if pictures > 0 && r.Parts[0].Picture != nil && len(texts) > 1 && asks(texts) {
		out.Questions = []QA{questionOf(texts, process)}
	}
	return out
}

// asks reports whether texts begin with a question and an answer to learn.
func asks(texts []record.Part) bool {
	return texts[0].Role == record.Question && !texts[0].Target && texts[1].Role == record.Answer && texts[1].Target
}

// captioned returns a picture with the captions that can be drawn.
func captioned(p record.Part, process bool) Record {
	var out Record
	all := drawable(p.Texts)
	for _, t := range all {
		if process {
			t.Text = ProcessCaption(t.Text)
		}
		if blank(t.Text) || slices.Contains(out.Captions, t.Text) && !weighted(all) {
			continue
		}
		out.Captions = append(out.Captions, t.Text)
		if weighted(all) {
			out.Weights = append(out.Weights, t.Weight)
		}
	}
	return out
}

// drawable returns the alternatives that are not blank and have a weight, or all that are not
// blank if none has one.
func drawable(texts []record.Text) []record.Text {
	texts = slices.DeleteFunc(slices.Clone(texts), func(t record.Text) bool { return blank(t.Text) })
	heavy := slices.DeleteFunc(slices.Clone(texts), func(t record.Text) bool { return t.Weight <= 0 })
	if len(heavy) == 0 {
		return texts
	}
	return heavy
}

// weighted reports whether the weights of texts differ.
func weighted(texts []record.Text) bool {
	return slices.ContainsFunc(texts, func(t record.Text) bool { return t.Weight != texts[0].Weight })
}

// questionOf returns the question of the first two texts.
func questionOf(texts []record.Part, process bool) QA {
	question := texts[0].Texts[0].Text
	if process {
		question = ProcessQuestion(question)
	}
	answers := drawable(texts[1].Texts)
	if people, ok := counted(answers); ok {
		return NewQA(question, people, texts[0].Kind)
	}
	q := QA{Question: question, Kind: texts[0].Kind}
	best := 0
	for i, t := range answers {
		q.Answers, q.Weights = append(q.Answers, t.Text), append(q.Weights, t.Weight)
		if t.Weight > answers[best].Weight {
			best = i
		}
	}
	q.Answer = answers[best].Text
	return q
}

// counted repeats each answer as often as its weight says, if all weights are numbers of
// people.
func counted(answers []record.Text) (people []string, ok bool) {
	const most = 1000 // people in all; larger weights are no numbers of people
	for _, t := range answers {
		n := t.Weight
		if !weighted(answers) && n <= 0 {
			n = 1
		}
		if n != math.Trunc(n) || n < 1 || len(people)+int(n) > most {
			return nil, false
		}
		for range int(n) {
			people = append(people, t.Text)
		}
	}
	return people, true
}

// prepared returns the parts of a sequence with their questions prepared.
func prepared(parts []record.Part, process bool) []record.Part {
	if !process {
		return parts
	}
	parts = slices.Clone(parts)
	for i, p := range parts {
		if p.Role != record.Question {
			continue
		}
		parts[i].Texts = slices.Clone(p.Texts)
		for j := range parts[i].Texts {
			parts[i].Texts[j].Text = ProcessQuestion(parts[i].Texts[j].Text)
		}
	}
	return parts
}
