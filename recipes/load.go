package recipes

import (
	"bytes"
	"embed"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/didyoumean"
	"github.com/modular-bridging/bridge/internal/stricttoml"
)

//go:embed *.toml
var shipped embed.FS

// Shipped returns the names of the recipes that ship, sorted.
func Shipped() []string {
	files, err := shipped.ReadDir(".")
	if err != nil {
		panic("recipes: the embedded folder cannot be read: " + err.Error())
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f.Name(), ".toml"))
	}
	return names
}

// Text returns the file of a recipe that ships, comments included.
func Text(name string) ([]byte, error) {
	data, err := shipped.ReadFile(name + ".toml")
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "no recipe %q ships with bridge%s", name, didyoumean.Hint(name, Shipped())).
			WithRemedy("`bridge recipes list` shows their names")
	}
	return data, nil
}

// Header returns the comment that a recipe begins with, without its marks.
func Header(text []byte) []string {
	var lines []string
	for line := range strings.Lines(string(text)) {
		comment, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "#")
		if !ok {
			break
		}
		lines = append(lines, strings.TrimPrefix(comment, " "))
	}
	return lines
}

// About returns the first sentence of the comment that a recipe begins with, without its full
// stop.
func About(text []byte) string {
	about, _, _ := strings.Cut(strings.Join(Header(text), " "), ". ")
	about, _, _ = strings.Cut(about, ": ")
	return strings.TrimSuffix(strings.TrimSpace(about), ".")
}

// InsertComment returns a recipe's text with a comment inserted after the one that it begins
// with.
func InsertComment(text []byte, comment string) []byte {
	end := 0
	for line := range bytes.Lines(text) {
		if line[0] != '#' {
			break
		}
		end += len(line)
	}
	return slices.Concat(text[:end], []byte(comment), text[end:])
}

// Override is a value from the command line that replaces the recipe's.
type Override struct {
	Assignment string // "key=value" with a dotted key; a value that is not TOML is a string
	Flag       string // as it was typed, "--backend go"; empty means --set and the assignment
}

// Load is [LoadWith] with overrides of the form "key=value", as --set gives them.
func Load(nameOrFile string, sets ...string) (*Recipe, error) {
	overrides := make([]Override, len(sets))
	for i, s := range sets {
		overrides[i].Assignment = s
	}
	return LoadWith(nameOrFile, overrides...)
}

// LoadWith reads a recipe, a file or the name of one that ships, and checks everything
// that needs neither a registry nor other files. Overrides pass the same checks.
func LoadWith(nameOrFile string, overrides ...Override) (*Recipe, error) {
	doc, err := read(nameOrFile)
	if err != nil {
		return nil, err
	}
	return decode(doc, overrides)
}

// Parse is [LoadWith] of a text; file is its name in messages.
func Parse(file string, text []byte, overrides ...Override) (*Recipe, error) {
	doc, err := stricttoml.Parse(file, text)
	if err != nil {
		return nil, err
	}
	return decode(doc, overrides)
}

// read returns the document of a recipe. The paths of a run's recipe are absolute in it.
func read(nameOrFile string) (*stricttoml.Document, error) {
	if slices.Contains(Shipped(), nameOrFile) {
		data, err := Text(nameOrFile)
		if err != nil {
			return nil, err
		}
		return stricttoml.Parse(nameOrFile+".toml", data)
	}
	data, err := os.ReadFile(nameOrFile)
	if os.IsNotExist(err) && filepath.Base(nameOrFile) == nameOrFile && filepath.Ext(nameOrFile) != ".toml" {
		_, err := Text(nameOrFile) // an error that names the nearest one
		return nil, err
	}
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "recipe cannot be read: %w", err).
			WithRemedy("name a file, or one of the recipes that `bridge recipes list` shows")
	}
	doc, err := stricttoml.Parse(nameOrFile, data)
	if err != nil {
		return nil, err
	}
	if err := asRecorded(doc, nameOrFile); err != nil {
		return nil, err
	}
	return doc, inProject(doc, nameOrFile)
}

// decode makes the overrides, then decodes the document over the defaults and checks the
// recipe.
func decode(doc *stricttoml.Document, overrides []Override) (*Recipe, error) {
	for _, o := range overrides {
		doc.Add(doc.Set(stricttoml.Override(o)))
	}
	r := defaults(doc)
	doc.Decode(r)
	if doc.Fits() { // otherwise the checks would repeat it
		r.check()
	}
	if err := doc.Err(); err != nil {
		return nil, err
	}
	return r, nil
}
