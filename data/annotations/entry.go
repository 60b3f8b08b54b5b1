package annotations

import (
	"math"
	"slices"
	"strconv"
)

// Entry is one element of an annotation file.
type Entry struct {
	Image    string   // file name, relative to the folder of pictures; may be empty if the file says ""
	ImageID  string   // "image_id", a number or a text, as text; empty if there is none
	Captions []string // "caption", a text or a list; nil if there is none
	Question string
	Answers  []string // "answer", a text or a list: one for each person who was asked; nil if there is none
	Kind     string   // of question; empty if there is none

	Index int // position in the file, from 0
	Line  int // on which it begins, from 1
}

// key is a key of an entry that bridge reads.
type key struct {
	name string
	want string // the values that it may have
	// read reads the value into an entry. A value of another kind is skipped, and read
	// returns how it is described.
	read func(s *scanner, e *Entry) (found string, err *fault)
}

// keys are the keys of an entry that bridge reads. Others are ignored, as LAVIS ignores them.
var keys = []key{
	{"image", "a file name", func(s *scanner, e *Entry) (string, *fault) { return s.textOr(&e.Image) }},
	{"caption", "a text or a list of texts", func(s *scanner, e *Entry) (string, *fault) { return s.textsOr(&e.Captions) }},
	{"image_id", "a number or a text", func(s *scanner, e *Entry) (string, *fault) { return s.idOr(&e.ImageID) }},
	{"question", "a text", func(s *scanner, e *Entry) (string, *fault) { return s.textOr(&e.Question) }},
	{"answer", "a text or a list of texts", func(s *scanner, e *Entry) (string, *fault) { return s.textsOr(&e.Answers) }},
	{"kind", "a text", func(s *scanner, e *Entry) (string, *fault) { return s.optionalTextOr(&e.Kind) }},
}

// keyNamed returns the key that an entry's key names exactly.
func keyNamed(name string) (key, bool) {
	i := slices.IndexFunc(keys, func(k key) bool { return k.name == name })
	if i < 0 {
		return key{}, false
	}
	return keys[i], true
}

// keyNames returns the names of the keys that bridge reads.
func keyNames() []string {
	var names []string
	for _, k := range keys {
		names = append(names, k.name)
	}
	return names
}

// textOr reads a text. It returns a description if the value is something else.
func (s *scanner) textOr(into *string) (found string, err *fault) {
	v, err := s.value(true)
	if err != nil || v.kind != isText {
		return v.describe(), err
	}
	*into = v.text
	return "", nil
}

// optionalTextOr is like textOr, but null stands for no text.
func (s *scanner) optionalTextOr(into *string) (found string, err *fault) {
	v, err := s.value(true)
	if err != nil || v.kind != isText && v.text != "null" {
		return v.describe(), err
	}
	if v.kind == isText {
		*into = v.text
	}
	return "", nil
}

// textsOr reads a text, or a list of texts. It returns a description if the value is
// something else.
func (s *scanner) textsOr(into *[]string) (found string, err *fault) {
	if b, err := s.peek(); err != nil || b != '[' {
		var one string
		if found, err := s.textOr(&one); err != nil || found != "" {
			return found, err
		}
		*into = []string{one}
		return "", nil
	}
	texts := []string{}
	err = s.list(func(i int) *fault {
		v, err := s.value(true)
		if err == nil && v.kind != isText && found == "" {
			found = "a list whose item " + strconv.Itoa(i) + " is " + v.describe()
		}
		texts = append(texts, v.text)
		return err
	})
	*into = texts
	return found, err
}

// idOr reads a number or a text as text, and null as no text. It returns a description if
// the value is something else.
func (s *scanner) idOr(into *string) (found string, err *fault) {
	v, err := s.value(true)
	switch {
	case err != nil:
	case v.kind == isText:
		*into = v.text
	case v.kind == isNumber:
		*into = number(v.text)
	case v.text != "null":
		found = v.describe()
	}
	return found, err
}

// number returns a number in the one way to write it, so that equal ids are equal texts: pandas
// writes 7 as 7.0 if another row has none. Whole numbers that a float64 does not hold exactly stay
// as they are.
func number(text string) string {
	const exact = 1 << 53
	if v, err := strconv.ParseFloat(text, 64); err == nil && math.Abs(v) < exact {
		return strconv.FormatFloat(v+0, 'f', -1, 64) // + 0 makes -0 0
	}
	return text
}
