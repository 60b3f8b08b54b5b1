// Package architecture owns the tests of the design's rules about the whole module: the import
// order, the exported APIs, and the proof page.
package architecture

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/modular-bridging/bridge"

// row says which packages of the module a package may import. A name stands for one
// package; "NAME/..." stands for it and all below it, "NAME/*" for those right below it.
type row struct {
	packages string
	may      []string
}

// table is the import order of the design. The first row that fits a package counts.
// A row names the highest packages that may be imported; what those may import is
// allowed too. The root holds the sources that the binary carries.
func table() []row {
	adapter := []string{"adapters", "adapters/internal/...", "internal/...", "tokenizer"}
	// Both sides of the process share wire. The messages (pb), the identity and the memory files have
	// packages of their own, because wire and the tests of each need them alone.
	process := []string{"adapters", "plugins/internal/wire", "plugins/internal/pb", "plugins/internal/identity", "plugins/internal/memfile", "internal/..."}
	return []row{
		{"", nil},
		{"adapters", nil},
		{"adapters/adaptertest", []string{"adapters"}},
		{"adapters/internal/lm/lmtest", append(adapter, "adapters/adaptertest", "golden", "golden/goldentest")},
		{"adapters/internal/vision/visiontest", append(adapter, "adapters/adaptertest", "golden", "golden/goldentest")},
		{"adapters/internal/...", adapter},
		{"adapters/builtin", []string{"adapters/*"}},
		{"adapters/*", adapter},

		{"tokenizer/...", []string{"adapters", "internal/..."}},
		{"imaging/...", []string{"adapters", "internal/..."}},
		{"kit/...", []string{"adapters", "imaging", "kit/...", "internal/..."}},
		{"golden/...", []string{"adapters", "golden", "internal/..."}},

		{"plugins", process},
		{"plugins/host", process},
		{"plugins/internal/plugintest", []string{"plugins", "adapters/adaptertest"}}, // a plugin for tests
		{"plugins/internal/...", process},
		{"plugins/project/template/*", []string{"adapters", "plugins"}}, // what an outside author can
		// A new project carries the Python SDK and the protocol, which the root embeds.
		{"plugins/project", []string{"", "plugins/*", "adapters", "internal/..."}},
		{"plugins/conformance", []string{"plugins/*", "adapters", "adapters/adaptertest", "golden", "internal/..."}},
		{"plugins/*", []string{"plugins", "plugins/*", "adapters", "internal/..."}},
		{"registry", []string{"plugins/store", "plugins/lockfile", "internal/..."}},

		{"qformer/...", []string{"qformer/...", "internal/layers"}},
		{"bridge", []string{"adapters", "qformer", "tokenizer", "imaging", "internal/..."}},
		{"convert", []string{"bridge"}},
		{"data/...", []string{"data/...", "adapters", "imaging", "kit", "internal/..."}},
		{"eval/metrics", []string{"eval/metrics/ptb"}}, // its tests tokenise
		{"eval/metrics/ptb", nil},
		{"eval/metrics/resample", nil},
		{"eval/metrics/jars", []string{"eval/metrics/ptb", "adapters", "internal/..."}},
		{"eval/score", []string{"eval/metrics", "eval/metrics/*", "adapters", "internal/..."}},
		{"eval/tasks", []string{"eval/score", "data", "data/official", "data/record", "internal/..."}},
		{"eval/benchmark/page", []string{"eval/benchmark", "internal/..."}},
		{"eval/benchmark", []string{"eval", "eval/tasks", "eval/score", "eval/metrics", "eval/metrics/*", "bridge", "data", "data/record", "internal/..."}},
		{"eval/...", []string{"eval/metrics", "bridge", "data"}},
		{"train/...", []string{"train/...", "bridge", "eval", "data", "data/featurecache", "qformer/...", "internal/..."}},
		{"recipes", []string{"train", "registry", "kit", "plugins/manifest", "plugins/store"}},
		// Golden folders belong to verifying a model and to testing a plugin, which are here.
		{"workspace", []string{"recipes", "registry", "plugins/*", "bridge", "convert", "adapters/builtin", "golden"}},
		{"runs/report", []string{"internal/..."}},
		{"runs/ladder", []string{"recipes", "internal/..."}},
		{"runs/comparison", []string{"runs", "runs/ladder", "runs/report", "eval/benchmark"}},
		{"runs", []string{"workspace", "train", "eval", "eval/benchmark", "eval/benchmark/page", "runs/report"}},
		{"serve/chat", []string{"bridge", "internal/..."}},
		{"serve/batch", []string{"adapters"}},
		{"serve/config", []string{"serve/chat", "recipes", "internal/..."}},
		{"serve/pictures", []string{"adapters", "data", "imaging", "internal/..."}},
		{"serve/fleet", []string{"workspace", "internal/..."}},
		{"serve/engine", []string{"serve/batch", "serve/fleet", "bridge", "data", "internal/..."}},
		{"serve/talk", []string{"kit", "kit/...", "internal/..."}},
		{"serve", []string{"serve/*", "workspace", "bridge", "runs", "plugins/host", "recipes", "internal/..."}},
		{"cmd/...", []string{"..."}},

		{"internal/...", []string{"adapters", "internal/..."}},
		{"tools/xla", nil},
		{"tools/...", []string{"..."}},
		{"examples/...", []string{"adapters", "plugins", "plugins/host"}}, // what an outside author can
	}
}

// testsMay returns the packages that the tests of a package may import, in addition to those
// that the package may import. The tests of a plugin's two sides need the other side.
func testsMay(name string) []string {
	all := []string{"kit/...", "golden/...", "adapters/*", "adapters/internal/lm/lmtest", "adapters/internal/vision/visiontest",
		"internal/testenv", "internal/procfs"}
	if name == "plugins" || name == "plugins/host" {
		all = append(all, "plugins", "plugins/host", "plugins/internal/plugintest")
	}
	return all
}

// families are the concrete adapters. Nothing but the list of built-in ones, other
// families and tests names one.
func families(all []listed) []string {
	var names []string
	for _, p := range all {
		name := p.name()
		if path.Dir(name) == "adapters" && name != "adapters/adaptertest" && name != "adapters/builtin" {
			names = append(names, name)
		}
	}
	return names
}

// listed is a package as `go list -json` describes it.
type listed struct {
	ImportPath                         string
	Name                               string
	Export                             string // file with its types
	Imports, TestImports, XTestImports []string
}

// name is the package's path in the module; empty for the root.
func (p listed) name() string { return inModule(p.ImportPath) }

func inModule(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
}

// own returns the packages of the module among imports.
func own(imports []string) []string {
	var names []string
	for _, i := range imports {
		if i == module || strings.HasPrefix(i, module+"/") {
			names = append(names, inModule(i))
		}
	}
	return names
}

// allowed returns the patterns of all that a package may import: its row's, and
// those of the rows of the packages that it names.
func allowed(name string, all []listed) map[string]bool {
	found := map[string]bool{}
	var add func(name string)
	add = func(name string) {
		for _, pattern := range rowOf(name).may {
			for _, p := range all {
				if below := p.name(); covers(pattern, below) && !found[below] {
					found[below] = true
					add(below)
				}
			}
		}
	}
	add(name)
	return found
}

func rowOf(name string) row {
	i := slices.IndexFunc(table(), func(r row) bool { return covers(r.packages, name) })
	if i < 0 {
		return row{packages: "?"}
	}
	return table()[i]
}

func TestImportDirection(t *testing.T) {
	all := list(t)
	if len(all) < 10 {
		t.Fatalf("go list found %d packages", len(all))
	}
	for _, p := range all {
		name := p.name()
		if rowOf(name).packages == "?" {
			t.Errorf("no row says what %s may import: add one, after a look at the design", name)
			continue
		}
		may := allowed(name, all)
		for _, imported := range own(p.Imports) {
			if !may[imported] {
				t.Errorf("%s imports %s; its row lets it import %v and what those may", name, imported, rowOf(name).may)
			}
		}
		for _, imported := range own(slices.Concat(p.TestImports, p.XTestImports)) {
			inTests := func(pattern string) bool { return covers(pattern, imported) }
			if imported != name && !may[imported] && !slices.ContainsFunc(testsMay(name), inTests) {
				t.Errorf("a test of %s imports %s; its row lets it import %v and what those may", name, imported, rowOf(name).may)
			}
		}
	}
}

func TestOnlyTheListOfBuiltInsNamesAFamily(t *testing.T) {
	all := list(t)
	known := families(all)
	if len(known) < 10 {
		t.Fatalf("found the families %v", known)
	}
	for _, p := range all {
		if p.name() == "adapters/builtin" || slices.Contains(known, p.name()) || strings.HasPrefix(p.name(), "tools/") {
			continue
		}
		for _, imported := range own(p.Imports) {
			if slices.Contains(known, imported) {
				t.Errorf("%s imports %s; take an [adapters.Family] instead", p.name(), imported)
			}
		}
	}
}

// The contracts need nothing but the standard library.
func TestAdaptersNeedTheStandardLibraryAlone(t *testing.T) {
	for _, p := range list(t) {
		if p.name() != "adapters" {
			continue
		}
		for _, imported := range p.Imports {
			if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") {
				t.Errorf("adapters imports %s", imported)
			}
		}
	}
}

// Tools are for those who build bridge; the binary carries one of them.
func TestToolsAreImportedByTheCommandAlone(t *testing.T) {
	for _, p := range list(t) {
		for _, imported := range own(p.Imports) {
			tool, ok := strings.CutPrefix(imported, "tools/")
			if ok && (p.name() != "cmd/bridge" || tool != "xla") {
				t.Errorf("%s imports tools/%s; only cmd/bridge may import a tool, and only tools/xla", p.name(), tool)
			}
		}
	}
}

// Others copy the examples, so no row may let them, or their tests, import what others
// cannot. Helpers of tests are no part of an example.
func TestExamplesImportNothingInternal(t *testing.T) {
	for _, p := range list(t) {
		if !strings.HasPrefix(p.name(), "examples/") {
			continue
		}
		for _, imported := range own(p.Imports) {
			if strings.Contains("/"+imported+"/", "/internal/") {
				t.Errorf("%s imports %s", p.name(), imported)
			}
		}
		for _, imported := range own(slices.Concat(p.TestImports, p.XTestImports)) {
			if strings.Contains("/"+imported+"/", "/internal/") && imported != "internal/testenv" {
				t.Errorf("a test of %s imports %s", p.name(), imported)
			}
		}
	}
}

func TestPatternsCover(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"adapters", "adapters", true}, {"adapters", "adapters/opt", false}, {"adapters/...", "adapters/opt", true},
		{"adapters/*", "adapters/opt", true}, {"adapters/*", "adapters", false}, {"adapters/*", "adapters/internal/lm", false},
		{"adapters/*", "adapters/internal", false},
		{"train/...", "train", true}, {"train/...", "training", false}, {"...", "cmd/bridge", true},
	} {
		if covers(c.pattern, c.name) != c.want {
			t.Errorf("covers(%q, %q) = %v", c.pattern, c.name, !c.want)
		}
	}
}

func covers(pattern, name string) bool {
	if parent, ok := strings.CutSuffix(pattern, "/*"); ok {
		return path.Dir(name) == parent && path.Base(name) != "internal"
	}
	prefix, below := strings.CutSuffix(pattern, "...")
	if !below {
		return pattern == name
	}
	return strings.HasPrefix(name+"/", prefix)
}

// packages is `go list` of the module, read once.
var packages = sync.OnceValues(func() ([]listed, error) {
	cmd := exec.Command("go", "list", "-export", "-json=ImportPath,Name,Export,Imports,TestImports,XTestImports", module+"/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, errors.Join(err, errors.New(stderr.String()))
	}
	var all []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
})

func list(t *testing.T) []listed {
	t.Helper()
	all, err := packages()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return all
}
