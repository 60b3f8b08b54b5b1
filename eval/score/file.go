package score

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/gzip"

	"github.com/modular-bridging/bridge/adapters"
)

// read returns the content of a file. A file that begins as gzip does is decompressed, whatever
// its name.
func read(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, adapters.Errorf(adapters.NotFound, "there is no file %s", path).WithRemedy("check the path")
	case err != nil:
		return nil, adapters.Errorf(adapters.Unknown, "%s cannot be read: %w", path, err).WithRemedy("give a file that can be read, not a folder")
	}
	if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err == nil {
			data, err = io.ReadAll(z)
		}
		if err != nil {
			return nil, adapters.Errorf(adapters.Corrupt, "%s is damaged: %w", path, err).WithRemedy("download or copy the file again")
		}
	}
	return bytes.TrimPrefix(data, []byte("\ufeff")), nil
}

// options let half of a surrogate pair pass, which Python writes; it becomes U+FFFD. A key that
// is there twice is an error.
var options = json.JoinOptions(jsontext.AllowInvalidUTF8(true))

// readText returns the content of a file of text. Bytes that are not UTF-8 are an error: read as
// U+FFFD, they would change a score without a word.
func readText(path string) ([]byte, error) {
	data, err := read(path)
	if err != nil || utf8.Valid(data) {
		return data, err
	}
	n := 0
	for {
		r, size := utf8.DecodeRune(data[n:])
		if r == utf8.RuneError && size <= 1 {
			break
		}
		n += size
	}
	return nil, adapters.Errorf(adapters.Corrupt, "%s is not text in UTF-8: byte %d is %#02x", path, n, data[n]).
		WithRemedy("write the file in UTF-8; of compressed files, only gzip's can be read")
}

// decode reads a JSON file into v. want describes its layout.
func decode(path string, v any, want string) error {
	data, err := readText(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v, options); err != nil {
		return adapters.Errorf(adapters.Corrupt, "%s: %s", path, explain(err)).WithRemedy("want %s", want)
	}
	return nil
}

// decodeList reads a file with a JSON list of entries, or with one entry a line.
func decodeList[T any](path, want string) ([]T, error) {
	data, err := readText(path)
	if err != nil {
		return nil, err
	}
	head := bytes.TrimLeft(data, " \t\r\n")
	switch {
	case len(head) == 0:
		return nil, adapters.Errorf(adapters.Corrupt, "%s is empty, want %s", path, want)
	case head[0] == '{':
		return decodeLines[T](path, data, want)
	case head[0] != '[':
		return nil, adapters.Errorf(adapters.Corrupt, "%s begins with %q, want %s", path, head[0], want)
	}
	var entries []T
	if err := json.Unmarshal(data, &entries, options); err != nil {
		return nil, adapters.Errorf(adapters.Corrupt, "%s: %s", path, explain(err)).WithRemedy("want %s", want)
	}
	return entries, nil
}

// decodeLines decodes JSON lines. An error names the line, from 1.
func decodeLines[T any](path string, data []byte, want string) ([]T, error) {
	var entries []T
	n := 0
	for line := range bytes.Lines(data) {
		n++
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var entry T
		if err := json.Unmarshal(line, &entry, options); err != nil {
			return nil, adapters.Errorf(adapters.Corrupt, "%s: line %d: %s", path, n, explain(err)).WithRemedy("want %s", want)
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

// explain says in plain words what is wrong in a JSON file, and where.
func explain(err error) string {
	var value *json.SemanticError
	var syntax *jsontext.SyntacticError
	switch {
	case errors.As(err, &value) && value.Err != nil:
		return place(value.JSONPointer) + value.Err.Error()
	case errors.As(err, &value):
		got := kinds[value.JSONKind]
		if len(value.JSONValue) > 0 && len(value.JSONValue) < 40 {
			got = string(value.JSONValue)
		}
		return place(value.JSONPointer) + "got " + got + ", want " + wanted(value.GoType)
	case errors.As(err, &syntax):
		hint := ""
		if text := syntax.Err.Error(); strings.Contains(text, "character 'N'") || strings.Contains(text, "character 'I'") {
			hint = "; JSON has no NaN and no Infinity, which Python writes: write null"
		}
		return fmt.Sprintf("%snot valid JSON at byte %d: %v%s", place(syntax.JSONPointer), syntax.ByteOffset, syntax.Err, hint)
	}
	return err.Error()
}

// place says where a JSON pointer points: "entry 3, answer: ".
func place(p jsontext.Pointer) string {
	var parts []string
	for token := range p.Tokens() {
		if len(parts) == 0 && token != "" && token[0] >= '0' && token[0] <= '9' {
			token = "entry " + token
		}
		parts = append(parts, token)
	}
	if len(parts) == 0 {
		return ""
	}
	return strings.Join(parts, ", ") + ": "
}

// kinds are the names of JSON's kinds.
var kinds = map[jsontext.Kind]string{'n': "null", 'f': "false", 't': "true", '"': "a text", '0': "a number", '{': "an object", '[': "a list"}

// wanted returns the name of the JSON that a type accepts.
func wanted(t reflect.Type) string {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == nil:
		return "another value"
	case t.Kind() == reflect.String:
		return "a text"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int:
		return "a whole number"
	case t.Kind() == reflect.Slice:
		return "a list"
	}
	return "an object"
}

// id is the id of a question or a picture: a whole number or a text of JSON. A text keeps its
// quotation marks, so that 1 and "1" differ, as they do for the official scorers.
type id string

// UnmarshalJSONFrom implements [json.UnmarshalerFrom].
func (i *id) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	value, err := d.ReadValue()
	switch {
	case err != nil:
		return err
	case value.Kind() == '"':
		var s string
		if err := json.Unmarshal(value, &s, options); err != nil {
			return err
		}
		*i = textID(s)
	case value.Kind() == '0' && !bytes.ContainsAny(value, ".eE"):
		*i = id(value)
	default:
		return fmt.Errorf("an id is %.40s, want a whole number or a text", value)
	}
	return nil
}

// textID returns the id that is a text.
func textID(s string) id { return id(`"` + s + `"`) }

// otherKind returns the same id as a text if it is a number, and as a number if it is a text.
func (i id) otherKind() id {
	if strings.HasPrefix(string(i), `"`) {
		return id(i.String())
	}
	return textID(string(i))
}

// String returns the id as people write it.
func (i id) String() string {
	return strings.TrimSuffix(strings.TrimPrefix(string(i), `"`), `"`)
}
