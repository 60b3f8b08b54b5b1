// Package stricttoml reads TOML files into structs and reports, in one error,
// everything in them that does not fit: unknown keys with the nearest valid
// one, values of the wrong type, and what the caller's own checks find, each
// with the line where it stands or the override that it came from.
package stricttoml

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/modular-bridging/bridge/adapters"
)

// Document is a parsed file with overrides. The methods that check it add to
// its problems; [Document.Err] returns them all.
type Document struct {
	name     string
	values   map[string]any
	places   map[string]string // dotted key → "file:line" or "--set key=value"
	problems Problems
}

// Problem is one thing that does not fit.
type Problem struct {
	Place    string // "recipe.toml:12", or "--set optimizer.lr=x"
	Key      string // dotted
	Message  string // what was found, what is wanted
	Override bool   // it came from the command line
}

// Problems is the error that holds them, in the order of the file.
type Problems []Problem

// Error returns one line a problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, q := range p {
		lines[i] = q.Place + ": "
		if q.Key != "" {
			lines[i] += q.Key + ": "
		}
		lines[i] += q.Message
	}
	return strings.Join(lines, "\n")
}

// Override reports whether one of the problems came from the command line.
func (p Problems) Override() bool {
	return slices.ContainsFunc(p, func(q Problem) bool { return q.Override })
}

// Read parses a file.
func Read(path string) (*Document, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "cannot read the file: %w", err)
	}
	return Parse(path, data)
}

// Parse parses the text of a file; name is what messages call it.
func Parse(name string, data []byte) (*Document, error) {
	d := &Document{name: name, values: map[string]any{}}
	meta, err := toml.Decode(string(data), &d.values)
	if err != nil {
		return nil, syntaxError(name, err)
	}
	d.places = places(name, string(data), meta.Keys())
	return d, nil
}

// Set overrides a value. The assignment is "key=value" with a dotted key; a
// value that is not TOML is taken as a string.
func (d *Document) Set(assignment string) error {
	place := "--set " + assignment
	key, text, ok := strings.Cut(assignment, "=")
	key = strings.TrimSpace(key)
	path := strings.Split(key, ".")
	if !ok || slices.Contains(path, "") {
		return Problems{{Place: place, Message: "is not an assignment, want key=value with a dotted key, as in optimizer.lr=1e-3", Override: true}}
	}
	table := d.values
	for i, p := range path[:len(path)-1] {
		next, isTable := table[p].(map[string]any)
		if _, exists := table[p]; exists && !isTable {
			return Problems{{Place: place, Key: key, Message: strings.Join(path[:i+1], ".") + " is not a table", Override: true}}
		}
		if !isTable {
			next = map[string]any{}
			table[p] = next
			d.places[strings.Join(path[:i+1], ".")] = place
		}
		table = next
	}
	table[path[len(path)-1]] = parseValue(strings.TrimSpace(text))
	d.places[key] = place
	return nil
}

// parseValue reads a TOML value, or else a bare string.
func parseValue(text string) any {
	var v struct {
		V any `toml:"v"`
	}
	if meta, err := toml.Decode("v = "+text, &v); err == nil && v.V != nil && (len(meta.Keys()) == 1 || strings.HasPrefix(text, "{")) {
		return v.V
	}
	return text
}

// Errorf adds a problem at a key. Where the file does not have the key, it is
// reported at the table that would hold it.
func (d *Document) Errorf(key, format string, args ...any) {
	place := d.place(key)
	d.problems = append(d.problems, Problem{Place: place, Key: key, Message: fmt.Sprintf(format, args...),
		Override: strings.HasPrefix(place, "--set ")})
}

// Has reports whether the file or an override gives the key.
func (d *Document) Has(key string) bool {
	_, ok := d.Value(key)
	return ok
}

// Value returns what the file or an override gives for a key, as the TOML
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

// Err returns the problems so far, nil if there is none.
func (d *Document) Err() error {
	if len(d.problems) == 0 {
		return nil
	}
	return slices.Clone(d.problems)
}

func (d *Document) place(key string) string {
	for key != "" {
		if p, ok := d.places[key]; ok {
			return p
		}
		key = key[:max(0, strings.LastIndexByte(key, '.'))]
	}
	return d.name
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
