// Package stricttoml decodes TOML files into structs and returns all problems in one error:
// unknown keys, with the nearest valid key, values of a wrong type, and problems that the
// caller's own checks find. Each problem names the line of the file, or the override that set
// the value.
package stricttoml

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/printable"
)

// Document is a parsed file with overrides. [Document.Decode] and [Document.Errorf] add to
// its problems; [Document.Err] returns them all.
type Document struct {
	name     string
	values   map[string]any
	places   map[string]place // by dotted key
	problems Problems
}

// place is the origin of a value.
type place struct {
	text     string // "file:line", the text of a flag, or another origin
	override bool
}

// Override is a value from the command line that replaces the file's.
type Override struct {
	Assignment string // "key=value" with a dotted key; a value that is not TOML is a string
	Flag       string // text of the flag, "--backend go"; empty means --set and the assignment
}

func (o Override) place() place {
	if o.Flag != "" {
		return place{o.Flag, true}
	}
	return place{"--set " + o.Assignment, true}
}

// problem returns a problem with an override that cannot be applied.
func (p place) problem(key, message string) Problems {
	return Problems{{Place: p.text, Key: key, Message: message, Override: p.override}}
}

// Problem is a key or value that does not fit.
type Problem struct {
	Place    string // "recipe.toml:12", "--set optimizer.lr=x" or the text of another flag
	Key      string // dotted
	Message  string // the value, and what is expected
	Override bool   // the value came from the command line
	Err      error  // cause; nil if there is none
	Unknown  bool   // the struct has no such key
}

// Problems is the error of a document. The problems are in the order in which they were found.
type Problems []Problem

// Error returns one line per problem. It escapes control characters, because keys and the
// messages of the TOML library repeat text of the file.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, q := range p {
		lines[i] = printable.Name(q.Place) + ": "
		if q.Key != "" {
			lines[i] += printable.Name(q.Key) + ": "
		}
		lines[i] += q.Message
	}
	return printable.Text(strings.Join(lines, "\n"))
}

// Override reports whether one of the problems is a mistake on the command line. A damaged file
// that the command line names is not such a mistake.
func (p Problems) Override() bool {
	return slices.ContainsFunc(p, func(q Problem) bool { return q.Override && adapters.KindOf(q.Err) != adapters.Corrupt })
}

// Read parses a file.
func Read(path string) (*Document, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "cannot read the file: %w", err)
	}
	return Parse(path, data)
}

// Parse parses the text of a file. name is its name in messages.
func Parse(name string, data []byte) (*Document, error) {
	if err := notUTF8(name, data); err != nil {
		return nil, err
	}
	d := &Document{name: name, values: map[string]any{}}
	meta, err := toml.Decode(string(data), &d.values)
	if err != nil {
		return nil, syntaxError(name, err)
	}
	d.places = places(name, string(data), meta.Keys())
	return d, nil
}

// notUTF8 returns a problem for the first byte that is not UTF-8. The TOML library could treat
// that byte as the end of the file.
func notUTF8(name string, data []byte) error {
	line, column, at := 1, 1, 0
	for at < len(data) {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		if column++; r == '\n' {
			line, column = line+1, 1
		}
		at += size
	}
	if at == len(data) {
		return nil
	}
	hint := "save it as UTF-8"
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		hint = "it looks like UTF-16; " + hint
	}
	return Problems{{Place: fmt.Sprintf("%s:%d", name, line),
		Message: fmt.Sprintf("not UTF-8, which TOML requires: byte 0x%02x at column %d (%s)", data[at], column, hint)}}
}

// Set overrides a value.
func (d *Document) Set(o Override) error {
	key, text, ok := strings.Cut(o.Assignment, "=")
	key = strings.TrimSpace(key)
	if !ok || slices.Contains(strings.Split(key, "."), "") {
		return o.place().problem("", "is not an assignment, want key=value with a dotted key, such as optimizer.lr=1e-3")
	}
	if !utf8.ValidString(o.Assignment) {
		return o.place().problem(printable.Name(key), "is not UTF-8, which TOML requires")
	}
	return d.set(key, parseValue(strings.TrimSpace(text)), o.place())
}

// SetValue overrides a value with a Go value; a struct becomes a table, see [Values]. origin is
// the origin of the value in messages, such as the flag "--llm tiny-opt". A problem with the
// value is a mistake on the command line, see [Problems.Override].
func (d *Document) SetValue(key string, value any, origin string) error {
	return d.set(key, tomlValue(reflect.ValueOf(value)), place{origin, true})
}

func (d *Document) set(key string, value any, at place) error {
	path := strings.Split(key, ".")
	table := d.values
	for i, p := range path[:len(path)-1] {
		next, isTable := table[p].(map[string]any)
		if _, exists := table[p]; exists && !isTable {
			return at.problem(key, strings.Join(path[:i+1], ".")+" is not a table")
		}
		if !isTable {
			next = map[string]any{}
			table[p] = next
			d.places[strings.Join(path[:i+1], ".")] = at
		}
		table = next
	}
	table[path[len(path)-1]] = value
	for inner := range d.places { // the override replaces the file's keys
		if strings.HasPrefix(inner, key+".") {
			delete(d.places, inner)
		}
	}
	d.places[key] = at
	return nil
}

// Delete removes a key, if the document has it.
func (d *Document) Delete(key string) {
	path := strings.Split(key, ".")
	table := d.values
	for _, p := range path[:len(path)-1] {
		next, ok := table[p].(map[string]any)
		if !ok {
			return
		}
		table = next
	}
	delete(table, path[len(path)-1])
	delete(d.places, key)
}

// Rewrite replaces the value of a key if it is a string.
func (d *Document) Rewrite(key string, change func(string) string) {
	path := strings.Split(key, ".")
	table := d.values
	for _, p := range path[:len(path)-1] {
		next, ok := table[p].(map[string]any)
		if !ok {
			return
		}
		table = next
	}
	last := path[len(path)-1]
	if text, ok := table[last].(string); ok {
		table[last] = change(text)
	}
}

// parseValue parses a TOML value. Text that is not a TOML value is a string.
func parseValue(text string) any {
	var v struct {
		V any `toml:"v"`
	}
	if meta, err := toml.Decode("v = "+text, &v); err == nil && v.V != nil && (len(meta.Keys()) == 1 || strings.HasPrefix(text, "{")) {
		return v.V
	}
	return text
}

// Errorf adds a problem at a key. The argument of a %w verb is the cause. If the file does not
// have the key, the problem is at the table of the key.
func (d *Document) Errorf(key, format string, args ...any) {
	at, err := d.place(key), fmt.Errorf(format, args...)
	d.problems = append(d.problems, Problem{Place: at.text, Key: key, Message: err.Error(), Override: at.override, Err: errors.Unwrap(err)})
}

// Has reports whether the file or an override sets the key.
func (d *Document) Has(key string) bool {
	_, ok := d.Value(key)
	return ok
}

// Value returns the value of a key in the file or an override, in the form in which the TOML
// library decodes it into an any.
func (d *Document) Value(key string) (any, bool) {
	var v any = d.values
	for _, p := range strings.Split(key, ".") {
		table, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		if v, ok = table[p]; !ok {
			return nil, false
		}
	}
	return v, true
}

// Fits reports whether the values of all known keys fit. Unknown keys may be among the problems.
func (d *Document) Fits() bool {
	return !slices.ContainsFunc(d.problems, func(p Problem) bool { return !p.Unknown })
}

// Add adds the problems of an error that [Document.Set] or [Document.SetValue] returned.
func (d *Document) Add(err error) {
	var more Problems
	if errors.As(err, &more) {
		d.problems = append(d.problems, more...)
	}
}

// Err returns the problems so far, or nil if there are none.
func (d *Document) Err() error {
	if len(d.problems) == 0 {
		return nil
	}
	return slices.Clone(d.problems)
}

// place returns the origin of a key or, if it has none, of the nearest table around it.
func (d *Document) place(key string) place {
	for key != "" {
		if p, ok := d.places[key]; ok {
			return p
		}
		key = key[:max(0, strings.LastIndexByte(key, '.'))]
	}
	return place{text: d.name}
}

func syntaxError(name string, err error) error {
	var parse toml.ParseError
	if p, ok := err.(toml.ParseError); ok {
		parse = p
	} else {
		return Problems{{Place: name, Message: err.Error()}}
	}
	return Problems{{Place: fmt.Sprintf("%s:%d", name, parse.Position.Line), Key: parse.LastKey, Message: "not valid TOML: " + parse.Message}}
}

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
