package annotations

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxText is the most bytes of a text that is kept. No caption is that long: the text of a
// whole file is, if a quotation mark is missing.
const maxText = 1 << 20

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
