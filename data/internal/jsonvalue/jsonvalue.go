// Package jsonvalue reads JSON values as Python's json module reads them, for the readers of
// formats. Keys are matched exactly. NaN and Infinity are null, because pandas writes NaN for a
// missing value. Bytes that are not UTF-8 and halves of surrogate pairs are errors; encoding/json
// would replace them without a word.
package jsonvalue

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"unicode/utf8"
)

// Object is a JSON object. Its values are nil, bool, string, json.Number, []any and Object's
// underlying map.
type Object = map[string]any

// Parse reads one value.
func Parse(data []byte) (any, error) {
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("is not UTF-8 at its byte %d", invalidByte(data))
	}
	if bytes.Contains(data, []byte(`\u`)) && hasHalfSurrogate(data) {
		return nil, errors.New(`has half of a surrogate pair (such as \ud83d alone), which is no character`)
	}
	v, err := decode(data)
	if err != nil {
		if plain, changed := withoutWords(data); changed {
			v, err = decode(plain)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("is no JSON: %w", err)
	}
	return v, nil
}

// UTF8 returns bytes as a text, without a byte order mark. It returns an error if they are not
// UTF-8.
func UTF8(data []byte) (string, error) {
	if !utf8.Valid(data) {
		return "", fmt.Errorf("is not UTF-8 at its byte %d", invalidByte(data))
	}
	return string(bytes.TrimPrefix(data, []byte("\ufeff"))), nil
}

// ParseObject reads one object.
func ParseObject(data []byte) (Object, error) {
	v, err := Parse(data)
	if err != nil {
		return nil, err
	}
	o, ok := v.(Object)
	if !ok {
		return nil, fmt.Errorf("is %s, want an object", Describe(v))
	}
	return o, nil
}

func decode(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("more follows after byte %d", d.InputOffset())
	}
	return v, nil
}

func invalidByte(data []byte) int {
	at := 0
	for at < len(data) {
		r, n := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && n <= 1 {
			break
		}
		at += n
	}
	return at
}

// withoutWords returns data with null for Python's NaN, Infinity and -Infinity, padded to the
// same length, so that offsets in errors hold.
func withoutWords(data []byte) (plain []byte, changed bool) {
	plain = bytes.Clone(data)
	for at := 0; at < len(plain); {
		if plain[at] == '"' {
			at = afterString(plain, at)
			continue
		}
		n := 0
		for _, word := range []string{"-Infinity", "Infinity", "NaN"} {
			if bytes.HasPrefix(plain[at:], []byte(word)) {
				n = len(word)
				break
			}
		}
		if n == 0 {
			at++
			continue
		}
		changed = true
		if n < len("null") { // NaN is shorter than null: 0 would be a number, so the length changes
			plain = append(plain[:at], append([]byte("null"), plain[at+n:]...)...)
			at += len("null")
			continue
		}
		copy(plain[at:], "null     "[:n])
		at += n
	}
	return plain, changed
}

// afterString returns the offset after the string that begins at offset at.
func afterString(data []byte, at int) int {
	for at++; at < len(data); at++ {
		switch data[at] {
		case '\\':
			at++
		case '"':
			return at + 1
		}
	}
	return len(data)
}

// hasHalfSurrogate reports whether an escape \uD800 to \uDFFF is not part of a pair.
func hasHalfSurrogate(data []byte) bool {
	unit := func(at int) (uint64, bool) {
		if at+6 > len(data) || data[at] != '\\' || data[at+1] != 'u' {
			return 0, false
		}
		v, err := strconv.ParseUint(string(data[at+2:at+6]), 16, 32)
		return v, err == nil
	}
	for at := 0; at < len(data); at++ {
		if data[at] != '\\' {
			continue
		}
		v, ok := unit(at)
		switch {
		case ok && v >= 0xd800 && v < 0xdc00:
			low, ok := unit(at + 6)
			if !ok || low < 0xdc00 || low >= 0xe000 {
				return true
			}
			at += 11
		case ok && v >= 0xdc00 && v < 0xe000:
			return true
		default:
			at++ // the escaped character
		}
	}
	return false
}

// Describe returns a value for messages: "the number 3", "a list".
func Describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case string:
		return "the text " + strconv.Quote(Shorten(v))
	case json.Number:
		return "the number " + v.String()
	case []any:
		return "a list"
	}
	return "an object"
}

// Shorten cuts a text after 60 characters.
func Shorten(text string) string {
	const most = 60
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}

// Text returns the text of a key. It returns "" for null or no value, and an error for another
// value.
func Text(o Object, key string) (string, error) {
	switch v := o[key].(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	default:
		return "", fmt.Errorf("%q is %s, want a text", key, Describe(v))
	}
}

// Texts returns the texts of a key, whose value is a text or a list of texts. It returns nil for
// null or no value. Null in a list is left out.
func Texts(o Object, key string) ([]string, error) {
	switch v := o[key].(type) {
	case nil:
		return nil, nil
	case string:
		return []string{v}, nil
	case []any:
		texts := make([]string, 0, len(v))
		for i, item := range v {
			if item == nil {
				continue
			}
			text, ok := item.(string)
			if !ok {
				return nil, fmt.Errorf("item %d of %q is %s, want a text", i, key, Describe(item))
			}
			texts = append(texts, text)
		}
		return texts, nil
	default:
		return nil, fmt.Errorf("%q is %s, want a text or a list of texts", key, Describe(v))
	}
}

// ID returns a number or a text as text, so that 7, 7.0 and "7" are one id; "" for anything else.
func ID(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		const exact = 1 << 53
		if f, err := v.Float64(); err == nil && math.Abs(f) < exact {
			return strconv.FormatFloat(f+0, 'f', -1, 64) // + 0 makes -0 0
		}
		return v.String()
	}
	return ""
}
