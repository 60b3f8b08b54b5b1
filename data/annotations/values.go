package annotations

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// maxDepth is how deep values may be nested, as in encoding/json.
const maxDepth = 10000

// What a value is.
type valueKind int

const (
	isWord valueKind = iota // null, true, false, NaN, Infinity
	isNumber
	isText
	isList
	isObject
)

// value is a value that was read. A list or an object is skipped.
type value struct {
	kind valueKind
	text string // of a text, or of a number or word as it is written
}

// describe returns the value for messages: "the number 3", "a list".
func (v value) describe() string {
	switch v.kind {
	case isNumber:
		return "the number " + v.text
	case isText:
		return "the text " + strconv.Quote(shorten(v.text))
	case isList:
		return "a list"
	case isObject:
		return "an object"
	}
	return v.text
}

// shorten cuts a text after 40 characters.
func shorten(text string) string {
	const most = 40
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}

// value reads a value. It skips what is inside lists and objects. If keep is false, it
// skips texts, too.
func (s *scanner) value(keep bool) (value, *fault) {
	b, err := s.peek()
	if err != nil {
		return value{}, err
	}
	if s.depth++; s.depth > maxDepth {
		return value{}, s.faultf("more than %d values are nested", maxDepth)
	}
	defer func() { s.depth-- }()
	switch b {
	case '"':
		text, err := s.text(keep)
		return value{isText, text}, err
	case '[':
		return value{kind: isList}, s.list(func(int) *fault {
			_, err := s.value(false)
			return err
		})
	case '{':
		return value{kind: isObject}, s.object(func(string) *fault {
			_, err := s.value(false)
			return err
		})
	}
	return s.literal()
}

// list reads a list; item reads item i.
func (s *scanner) list(item func(i int) *fault) *fault {
	if err := s.expect('[', "at the begin of a list"); err != nil {
		return err
	}
	return s.elements(']', "a list", item)
}

// object reads an object; member reads the value of a key.
func (s *scanner) object(member func(key string) *fault) *fault {
	if err := s.expect('{', "at the begin of an object"); err != nil {
		return err
	}
	return s.elements('}', "an object", func(int) *fault {
		if b, err := s.peek(); err != nil || b != '"' {
			if err == nil {
				err = s.faultf("found %s, want a key in double quotes", s.nextRune())
			}
			return err
		}
		name, err := s.text(true)
		if err != nil {
			return err
		}
		if err := s.expect(':', "after a key"); err != nil {
			return err
		}
		return member(name)
	})
}

// elements reads what is separated by commas, up to end.
func (s *scanner) elements(end byte, of string, element func(i int) *fault) *fault {
	for i := 0; ; i++ {
		b, err := s.peek()
		if err != nil {
			return err
		}
		if b == end && i == 0 {
			_, err := s.next()
			return err
		}
		if i > 0 {
			if b != ',' && b != end {
				return s.faultf("found %s, want ',' or %q in %s", s.nextRune(), end, of)
			}
			if _, err := s.next(); err != nil || b == end {
				return err
			}
		}
		if b, err = s.peek(); err == nil && b == end {
			return s.faultf("found %q after a comma, want a value", end)
		}
		if err := element(i); err != nil {
			return err
		}
	}
}

// literal reads a number, or a word such as null. Like Python it knows NaN and Infinity.
func (s *scanner) literal() (value, *fault) {
	const most = 400 // digits of the largest float64, and some
	offset, line := s.offset, s.line
	word := s.word[:0]
	for {
		head, err := s.in.Peek(1)
		if err != nil || len(word) > most || !isWordByte(head[0]) {
			break
		}
		b, fault := s.next()
		if fault != nil {
			return value{}, fault
		}
		word = append(word, b)
	}
	s.word = word
	switch text := string(word); {
	case text == "":
		return value{}, s.faultf("found %s, want a value", s.nextRune())
	case text == "null", text == "true", text == "false", text == "NaN", text == "Infinity", text == "-Infinity":
		return value{isWord, text}, nil
	case json.Valid(word):
		return value{isNumber, text}, nil
	default:
		return value{}, &fault{what: fmt.Sprintf("found %s, want a value", shorten(text)), offset: offset, line: line}
	}
}

func isWordByte(b byte) bool {
	return b == '-' || b == '+' || b == '.' || b == '_' || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}
