package record

import (
	"io"
	"slices"
)

// Record is a sequence of texts and pictures.
type Record struct {
	// Key names the record for people and other programs: webdataset's __key__, LLaVA's id,
	// or else the number of the row. Two records may share a key.
	Key string
	// Group is the data's image_id. Records of one group show the same thing: they are
	// positives of each other in ITC. If it is empty, the record has a group of its own.
	Group string
	Parts []Part
	// Row holds the row's values under the names of the file, for benchmarks: ids, types, and all
	// answers in their order. Values are nil, bool, string, json.Number, []any and map[string]any.
	// Only readers of official files give it; a question of VQA has those of its annotation, too.
	Row map[string]any
	// File holds the record, for people. Offset is where the record begins in it, in bytes;
	// negative if it is not known.
	File   string
	Offset int64
}

// Part is a picture or a text of a record.
type Part struct {
	Picture *Picture // nil for a text
	// Texts are alternatives, of which one is drawn each time; nil for a picture. Captions of
	// one picture are the alternatives of one part, and so are the answers of several people.
	Texts  []Text
	Target bool // the model learns to write the text
	Role   Role
	Kind   string // of a question ("count", "color"); empty if the data does not say
}

// Role says what the text of a part is to the texts around it.
type Role string

// The roles of texts.
const (
	Plain    Role = ""         // a caption, or a text of a document
	Question Role = "question" // the model is asked it: a question, or a human's turn
	Answer   Role = "answer"   // to the questions before it; of a demonstration it is no target
	System   Role = "system"   // an instruction before a conversation
)

// Text is one of the alternatives of a part.
type Text struct {
	Text string
	// Weight is relative to that of the other alternatives. A text of weight 0 is not drawn,
	// unless all weights are 0: then all texts are equally likely. Of answers it is the number
	// of people who gave the answer, if the data says it.
	Weight float64
}

// Picture is a picture that is not decoded.
type Picture struct {
	Name string // for people: a file's name, or a member's
	// Open opens the encoded bytes. It may be called any number of times, from several
	// goroutines. Its error is of this picture.
	Open func() (io.ReadCloser, error)
}

// Of returns a part with one text.
func Of(text string, role Role, target bool) Part {
	return Part{Texts: []Text{{Text: text, Weight: 1}}, Role: role, Target: target}
}

// Pictures returns the pictures of the record in their order.
func (r Record) Pictures() []*Picture {
	var all []*Picture
	for _, p := range r.Parts {
		if p.Picture != nil {
			all = append(all, p.Picture)
		}
	}
	return all
}

// HasTarget reports whether the record has a text to learn.
func (r Record) HasTarget() bool {
	return slices.ContainsFunc(r.Parts, func(p Part) bool { return p.Target && len(p.Texts) > 0 })
}
