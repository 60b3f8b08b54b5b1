package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters/builtin"
)

// namesFamilies lists the files that may name a family or a model_type, with the reason.
func namesFamilies() map[string]string {
	return map[string]string{
		"internal/weights/blip2.go": "the model types of transformers' own BLIP-2 classes",
		"bridge/blip2.go":           "the family that reads the vision encoder of these classes",
		"convert/lavis.go":          "the language models of LAVIS's classes, by LAVIS's names of their weights",
	}
}

// Other packages use the fields of adapters.Family, so that a new family needs no change in other
// code.
func TestOnlyFamiliesNameModelTypes(t *testing.T) {
	var names []string
	for _, f := range builtin.Families() {
		names = append(append(append(names, f.Name), f.ModelTypes...), f.Refused...)
	}
	root := filepath.Join("..", "..")
	found := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		rel = filepath.ToSlash(rel)
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && rel != "." || slices.Contains([]string{"testdata", "tools", "examples"}, d.Name())) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(rel, ".go") || strings.HasSuffix(rel, "_test.go") || strings.HasPrefix(rel, "adapters/") {
			return nil
		}
		for _, name := range stringsIn(t, path) {
			if !slices.Contains(names, name) {
				continue
			}
			found[rel] = true
			if namesFamilies()[rel] == "" {
				t.Errorf("%s names %q; use a field of adapters.Family instead", rel, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for file := range namesFamilies() {
		if !found[file] {
			t.Errorf("%s does not name a family: remove it from the list", file)
		}
	}
}

// stringsIn returns the string constants of a Go file.
func stringsIn(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	ast.Inspect(file, func(n ast.Node) bool {
		if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if value, err := strconv.Unquote(literal.Value); err == nil {
				values = append(values, value)
			}
		}
		return true
	})
	return values
}
