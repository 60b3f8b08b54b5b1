package annotations

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// maxText is the most bytes of a text that is kept. No caption is that long: the text of a
// whole file is, if a quotation mark is missing.
const maxText = 1 << 20

// maxDepth is how deep values may be nested, as in encoding/json.
const maxDepth = 10000

// scanner reads JSON values from a stream and knows where it is. It keeps texts whose
// bytes are wrong out of the result, and reads on: soft is the first such fault.
type scanner struct {
	in     *bufio.Reader
	offset int64 // of the next byte in the file
	line   int   // of the next byte, from 1
	depth  int
	soft   *fault
	word   []byte // memory for literals
}

// fault is what is wrong at a place in a file.
type fault struct {
	what, remedy string
	offset       int64
	line         int
}

// faultf returns a fault at the next byte.
func (s *scanner) faultf(format string, args ...any) *fault {
	return &fault{what: fmt.Sprintf(format, args...), offset: s.offset, line: s.line}
}

// softf keeps the first fault of a text, at the next byte, and lets the scanner read on.
func (s *scanner) softf(remedy, format string, args ...any) {
	if s.soft == nil {
		s.soft = s.faultf(format, args...)
		s.soft.remedy = remedy
	}
}

// errEnd is the end of a file inside a value.
const errEnd = "the file ends here, in the middle of an entry"

// next reads a byte.
func (s *scanner) next() (byte, *fault) {
	b, err := s.in.ReadByte()
	if err != nil {
		return 0, s.ended(err)
	}
	s.offset++
	if b == '\n' {
		s.line++
	}
	return b, nil
}

func (s *scanner) ended(err error) *fault {
	if errors.Is(err, io.EOF) {
		f := s.faultf(errEnd)
		f.remedy = "the file may be cut off: copy or download it again"
		return f
	}
	return s.faultf("cannot be read: %v", err)
}

// peek returns the first byte after white space without reading it.
func (s *scanner) peek() (byte, *fault) {
	for {
		b, err := s.in.ReadByte()
		if err != nil {
			return 0, s.ended(err)
		}
		if b != ' ' && b != '\t' && b != '\r' && b != '\n' {
			return b, s.unread()
		}
		s.offset++
		if b == '\n' {
			s.line++
		}
	}
}

func (s *scanner) unread() *fault {
	if err := s.in.UnreadByte(); err != nil {
		return s.faultf("cannot be read: %v", err)
	}
	return nil
}

// atEnd reports whether only white space is left.
func (s *scanner) atEnd() bool {
	_, err := s.peek()
	return err != nil && err.what == errEnd
}

// expect reads white space and then a byte that must be want.
func (s *scanner) expect(want byte, where string) *fault {
	b, err := s.peek()
	if err != nil {
		return err
	}
	if b != want {
		return s.faultf("found %s, want %q %s", s.nextRune(), want, where)
	}
	_, err = s.next()
	return err
}

// nextRune describes the next character for a message.
func (s *scanner) nextRune() string {
	head, _ := s.in.Peek(utf8.UTFMax)
	r, size := utf8.DecodeRune(head)
	switch {
	case len(head) == 0:
		return "the end of the file"
	case r == utf8.RuneError && size <= 1:
		return fmt.Sprintf("the byte 0x%02X, which is not UTF-8", head[0])
	case r == '\ufeff':
		return "a byte order mark (U+FEFF)"
	case unicode.IsPrint(r):
		return fmt.Sprintf("%q", r)
	}
	return fmt.Sprintf("the character %U", r)
}

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

// text reads a text with its quotation marks. If keep is false, it only checks the bytes.
func (s *scanner) text(keep bool) (string, *fault) {
	offset, line := s.offset, s.line
	if _, err := s.next(); err != nil {
		return "", err
	}
	var out strings.Builder
	write := func(r rune) {
		if keep {
			out.WriteRune(r)
		}
	}
	for out.Len() <= maxText {
		if plain := s.plain(); len(plain) > 0 {
			if keep {
				out.Write(plain)
			}
			s.skip(len(plain))
			continue
		}
		switch head, err := s.in.Peek(1); {
		case err != nil:
			return "", s.ended(err)
		case head[0] == '"':
			_, err := s.next()
			return out.String(), err
		case head[0] == '\\':
			if err := s.escape(keep, write); err != nil {
				return "", err
			}
		case head[0] < ' ':
			return "", s.rawControl(head[0])
		default:
			if err := s.character(write); err != nil {
				return "", err
			}
		}
	}
	return "", &fault{
		what: fmt.Sprintf("a text begins here and is longer than %d bytes", maxText), remedy: "look for a missing quotation mark",
		offset: offset, line: line,
	}
}

// plain returns the next bytes of a text that stand for themselves, as far as they are in the
// buffer.
func (s *scanner) plain() []byte {
	buffered, _ := s.in.Peek(s.in.Buffered())
	for i, b := range buffered {
		if b < ' ' || b >= utf8.RuneSelf || b == '"' || b == '\\' {
			return buffered[:i]
		}
	}
	return buffered
}

// skip reads n bytes that are in the buffer and hold no line feed.
func (s *scanner) skip(n int) {
	skipped, _ := s.in.Discard(n)
	s.offset += int64(skipped)
}

// rawControl returns the fault of a control character inside a text.
func (s *scanner) rawControl(b byte) *fault {
	escaped := fmt.Sprintf(`\u%04x`, b)
	if b == '\n' || b == '\r' || b == '\t' {
		escaped = map[byte]string{'\n': `\n`, '\r': `\r`, '\t': `\t`}[b]
	}
	f := s.faultf("found the control character U+%04X in a text, want it written as %s", b, escaped)
	if b == '\n' || b == '\r' {
		f.remedy = "a quotation mark may be missing at the end of the text"
	}
	return f
}

// character reads a character of UTF-8.
func (s *scanner) character(write func(rune)) *fault {
	head, _ := s.in.Peek(utf8.UTFMax)
	r, size := utf8.DecodeRune(head)
	if r == utf8.RuneError && size <= 1 {
		s.softf("save the file as UTF-8; if it is Latin-1, with iconv -f LATIN1 -t UTF-8", "the byte 0x%02X is not UTF-8", head[0])
	}
	for range size {
		if _, err := s.next(); err != nil {
			return err
		}
	}
	write(r)
	return nil
}

// escape reads an escape sequence. Half of a surrogate pair stands for no character; it is
// a fault if the text is kept.
func (s *scanner) escape(keep bool, write func(rune)) *fault {
	at := s.faultf("")
	if _, err := s.next(); err != nil {
		return err
	}
	b, err := s.next()
	if err != nil {
		return err
	}
	if i := strings.IndexByte(`"\/bfnrt`, b); i >= 0 {
		write(rune("\"\\/\b\f\n\r\t"[i]))
		return nil
	}
	if b != 'u' {
		at.what = fmt.Sprintf(`found the escape \%c in a text, which JSON does not have`, rune(b))
		return at
	}
	r, err := s.hex()
	if err != nil {
		return err
	}
	if !utf16.IsSurrogate(r) {
		write(r)
		return nil
	}
	if r < 0xdc00 { // the first half: the second may follow
		if head, _ := s.in.Peek(6); len(head) == 6 && head[0] == '\\' && head[1] == 'u' {
			if low, err := strconv.ParseUint(string(head[2:]), 16, 32); err == nil && 0xdc00 <= low && low < 0xe000 {
				for range 6 {
					if _, err := s.next(); err != nil {
						return err
					}
				}
				write(utf16.DecodeRune(r, rune(low)))
				return nil
			}
		}
	}
	if keep && s.soft == nil {
		at.what = fmt.Sprintf(`the escape \u%04x is half of a surrogate pair, which is no character`, r)
		at.remedy = `write the whole pair, such as \ud83d\udc36, or the character itself in UTF-8`
		s.soft = at
	}
	return nil
}

// hex reads the four digits of \uXXXX.
func (s *scanner) hex() (rune, *fault) {
	at := s.faultf(`found \u without four hexadecimal digits in a text`)
	digits := make([]byte, 4)
	for i := range digits {
		var err *fault
		if digits[i], err = s.next(); err != nil {
			return 0, err
		}
	}
	n, err := strconv.ParseUint(string(digits), 16, 32)
	if err != nil {
		return 0, at
	}
	return rune(n), nil
}

func itoa(i int) string { return strconv.Itoa(i) }
