package architecture

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

// A caller outside the module cannot name a type of an internal package: it could not
// declare a variable for it, nor implement an interface with it.
func TestNoInternalTypeInTheAPI(t *testing.T) {
	all := list(t)
	exports := map[string]string{}
	for _, p := range all {
		exports[p.ImportPath] = p.Export
	}
	load := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, fmt.Errorf("no export data of %s", path)
		}
		return os.Open(exports[path])
	})
	for _, p := range all {
		if !public(p) {
			continue
		}
		pkg, err := load.Import(p.ImportPath)
		if err != nil {
			t.Fatal(err)
		}
		for _, use := range internalUses(pkg) {
			t.Errorf("%s names %s, which no other module can", use.name, use.internal)
		}
	}
}

// public reports whether other modules may import a package.
func public(p listed) bool {
	first, _, _ := strings.Cut(p.name(), "/")
	return p.Name != "main" && !isInternal(p.ImportPath) && !slices.Contains([]string{"cmd", "tools", "examples"}, first)
}

func isInternal(path string) bool {
	return strings.HasPrefix(path, module+"/") && strings.Contains(path+"/", "/internal/")
}

// use is an internal type that an exported name of a package names.
type use struct{ name, internal string }

// internalUses returns the internal types in the exported API of a package.
func internalUses(pkg *types.Package) []use {
	w := walker{seen: map[string]bool{}}
	for _, name := range pkg.Scope().Names() {
		object := pkg.Scope().Lookup(name)
		if !object.Exported() {
			continue
		}
		w.at = inModule(pkg.Path()) + "." + name
		switch object := object.(type) {
		case *types.TypeName:
			w.declaration(object)
		default: // a function, variable or constant
			w.walk(object.Type())
		}
	}
	return w.uses
}

// walker collects the internal types that types name.
type walker struct {
	at   string // the exported name that is walked
	uses []use
	seen map[string]bool // unexported types and uses, by name
}

// declaration walks a type that a package declares: what it is, and its exported methods.
func (w *walker) declaration(object *types.TypeName) {
	if alias, ok := object.Type().(*types.Alias); ok {
		w.walk(alias.Rhs())
		return
	}
	named := object.Type().(*types.Named)
	w.parameters(named.TypeParams())
	w.walk(named.Underlying())
	for i := range named.NumMethods() {
		w.member(named.Method(i))
	}
}

// member walks an exported field or method.
func (w *walker) member(object types.Object) {
	if !object.Exported() {
		return
	}
	at := w.at
	w.at += "." + object.Name()
	w.walk(object.Type())
	w.at = at
}

func (w *walker) parameters(list *types.TypeParamList) {
	for i := range list.Len() {
		w.walk(list.At(i).Constraint())
	}
}

func (w *walker) walk(t types.Type) {
	switch t := t.(type) {
	case *types.Alias:
		w.name(t.Obj(), t.TypeArgs())
	case *types.Named:
		w.name(t.Obj(), t.TypeArgs())
	case *types.Pointer:
		w.walk(t.Elem())
	case *types.Slice:
		w.walk(t.Elem())
	case *types.Array:
		w.walk(t.Elem())
	case *types.Chan:
		w.walk(t.Elem())
	case *types.Map:
		w.walk(t.Key())
		w.walk(t.Elem())
	case *types.Tuple:
		for i := range t.Len() {
			w.walk(t.At(i).Type())
		}
	case *types.Signature:
		w.parameters(t.TypeParams())
		w.walk(t.Params())
		w.walk(t.Results())
	case *types.Struct:
		for i := range t.NumFields() {
			if t.Field(i).Embedded() { // its exported members are promoted
				w.walk(t.Field(i).Type())
			} else {
				w.member(t.Field(i))
			}
		}
	case *types.Interface:
		for i := range t.NumExplicitMethods() {
			w.member(t.ExplicitMethod(i))
		}
		for i := range t.NumEmbeddeds() {
			w.walk(t.EmbeddedType(i))
		}
	case *types.Union:
		for i := range t.Len() {
			w.walk(t.Term(i).Type())
		}
	}
}

// name walks a named type. An exported type of a public package is walked where it is
// declared.
func (w *walker) name(object *types.TypeName, arguments *types.TypeList) {
	for i := range arguments.Len() {
		w.walk(arguments.At(i))
	}
	if object.Pkg() == nil {
		return
	}
	full := object.Pkg().Path() + "." + object.Name()
	switch key := w.at + " " + full; {
	case isInternal(object.Pkg().Path()):
		if !w.seen[key] {
			w.seen[key] = true
			w.uses = append(w.uses, use{w.at, inModule(object.Pkg().Path()) + "." + object.Name()})
		}
	case !object.Exported() && strings.HasPrefix(full, module) && !w.seen[full]:
		w.seen[full] = true
		w.declaration(object)
	}
}

// importing is an importer of packages that are there already.
type importing map[string]*types.Package

func (i importing) Import(path string) (*types.Package, error) { return i[path], nil }

// typed type-checks the source of a package.
func typed(t *testing.T, path, source string, imports importing) *types.Package {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "source.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	config := types.Config{Importer: imports}
	pkg, err := config.Check(path, fset, []*ast.File{file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return pkg
}

func TestInternalTypesAreFound(t *testing.T) {
	inner := typed(t, module+"/internal/x", "package x\ntype T struct{ N int }\ntype I interface{ M(T) }\n", nil)
	public := typed(t, module+"/a", `package a
import "github.com/modular-bridging/bridge/internal/x"
type Alias = x.T
var Variable map[string][]*x.T
func Function(...x.T) {}
func Result() (func() <-chan [2]x.T, error) { return nil, nil }
func Generic[P x.I](P) {}
type Box[P any] struct{ Value P }
func Argument() Box[x.T] { return Box[x.T]{} }
type Struct struct { Field x.T; hidden x.T }
func (Struct) Method(x.T) {}
func (Struct) own(x.T) {}
type unexported struct{ Promoted x.T }
type Embedding struct{ unexported }
type Embedded struct{ x.T }
type Interface interface { x.I; Plain() }
type Fine struct { hidden x.T; Struct Struct; Count int }
func own(x.T) {}
`, importing{inner.Path(): inner})
	var got []string
	for _, u := range internalUses(public) {
		got = append(got, u.name)
	}
	want := []string{"a.Alias", "a.Argument", "a.Embedded", "a.Embedding.Promoted", "a.Function", "a.Generic", "a.Interface", "a.Result",
		"a.Struct.Field", "a.Struct.Method", "a.Variable"}
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}
