package architecture

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// printedCommand finds a command that a message tells the user to run, up to the end of its words.
var printedCommand = regexp.MustCompile(
	"\\b(?:bridge (?:adapter|ask|caption|compare|convert|data|demo|doctor|eval|models|plugin|recipes|retrain|train|verify)|chmod|mkdir|cd|rm) [^`;,()\n]*")

// verbs finds the verbs of a format.
var verbs = regexp.MustCompile(`%[-+# 0-9.]*[a-zA-Z%]`)

// A path or a name in a printed command comes from package shell, so that the command can be
// pasted.
func TestPrintedCommandsAreQuoted(t *testing.T) {
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		for _, problem := range unquoted(t, path, nil) {
			t.Error(problem)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// unquoted returns the places in a file where a command has an operand that is not quoted. src is
// as in [parser.ParseFile].
func unquoted(t *testing.T, path string, src any) (problems []string) {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	report := func(e ast.Expr, command string) {
		problems = append(problems, fmt.Sprintf("%s: an operand of %q is not from package shell", fset.Position(e.Pos()), command))
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			checkFormat(n.Args, report)
		case *ast.BinaryExpr:
			command := printedCommand.FindString(lastLine(literal(n.X)))
			if n.Op == token.ADD && command != "" && strings.HasSuffix(literal(n.X), command) && literal(n.Y) == "" && !fromShell(n.Y) {
				report(n.Y, command)
			}
		}
		return true
	})
	return problems
}

// checkFormat reports the operands of commands in a call's format that are not quoted.
func checkFormat(args []ast.Expr, report func(ast.Expr, string)) {
	for i, arg := range args {
		format := literal(arg)
		if format == "" {
			continue
		}
		n := i
		for _, verb := range verbs.FindAllStringIndex(format, -1) {
			kind := format[verb[1]-1]
			if kind == '%' {
				continue
			}
			if n++; n >= len(args) {
				return
			}
			if kind == 'w' { // a cause is no operand
				continue
			}
			for _, c := range printedCommand.FindAllStringIndex(format, -1) {
				if c[0] <= verb[0] && verb[1] <= c[1] && !fromShell(args[n]) {
					report(args[n], format[c[0]:c[1]])
				}
			}
		}
		return
	}
}

// literal returns the value of a string literal, or of a sum of literals; otherwise it is empty.
func literal(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		if e.Kind == token.STRING && err == nil {
			return text
		}
	case *ast.BinaryExpr:
		if left, right := literal(e.X), literal(e.Y); left != "" && right != "" {
			return left + right
		}
	}
	return ""
}

func lastLine(s string) string { return s[strings.LastIndexByte(s, '\n')+1:] }

// fromShell reports whether an expression is a call of package shell, or a constant.
func fromShell(e ast.Expr) bool {
	if literal(e) != "" {
		return true
	}
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	name, ok := f.X.(*ast.Ident)
	return ok && name.Name == "shell"
}

func TestUnquotedCommandsAreFound(t *testing.T) {
	for expression, want := range map[string]int{
		`f("run: bridge plugin build %s", dir)`:                               1,
		`f("%s; then: bridge plugin build %s", dir, shell.Path(dir))`:         0,
		`f("%s; then: bridge plugin build %s", shell.Path(dir), dir)`:         1,
		`e.WithRemedy("check %s, then chmod %s %s", at, shell.Path(m), at)`:   1,
		"f(\"`bridge models pull %s` fetches %s\", shell.Path(id), id)":       0,
		`f("a bridge trained on %s, 100 %% of it", data)`:                     0,
		`"to continue: bridge train " + dir`:                                  1,
		`"to continue: bridge train " + shell.Path(dir) + " --resume"`:        0,
		`f(kind, "one\n"+"  cd %s\n", dir)`:                                   1,
		`f("bridge compare %q", name)`:                                        1,
		`f("bridge plugin lock %s --%s", shell.Word(name), "user")`:           0,
		`f("bridge recipes check %s (or name %s)", shell.Path(file), recipe)`: 0,
	} {
		if got := unquoted(t, "x.go", "package x\nvar _ = "+expression); len(got) != want {
			t.Errorf("%s: found %v, want %d", expression, got, want)
		}
	}
}

// The command prints through package printable, which escapes the names and texts of others.
func TestTheCommandPrintsNothingRaw(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "cmd", "bridge", "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	raw := regexp.MustCompile(`\bfmt\.(Print|Fprint)\w*\(`)
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if found := raw.Find(text); found != nil && !strings.HasSuffix(path, "_test.go") {
			t.Errorf("%s calls %s…), want printf or errorf of program", path, found)
		}
	}
}
