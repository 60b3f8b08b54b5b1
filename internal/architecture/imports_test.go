// Package architecture holds, as tests, what the design says about the whole.
package architecture

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/modular-bridging/bridge"

// rule says which packages of the module a package may import. A name stands
// for the package and, with "/..." at its end, for those below it.
type rule struct {
	packages string
	may      []string
}

// rules is the import direction of the design: adapters and qformer below
// bridge, below train and eval, below recipes, below cmd. The first rule that
// fits a package counts. Only cmd, examples and tests name a concrete adapter
// or import plugins.
func rules() []rule {
	return []rule{
		{"", nil}, // the sources that the binary carries
		{"adapters", nil},
		{"adapters/adaptertest", []string{"adapters"}},
		{"adapters/...", []string{"adapters", "internal/...", "tokenizer"}},
		{"tokenizer/...", []string{"adapters", "internal/jsonfile"}},
		{"imaging/...", []string{"adapters"}},
		{"kit/...", []string{"imaging", "kit/..."}},
		{"golden", []string{"adapters", "internal/..."}},
		{"golden/goldentest", []string{"golden"}},
		{"plugins/manifest", []string{"adapters", "internal/..."}},
		{"plugins/store", []string{"adapters", "plugins/manifest", "internal/..."}},
		{"plugins/release", []string{"adapters", "plugins/store", "internal/..."}},
		{"plugins/trust", []string{"adapters", "plugins/manifest", "plugins/store", "plugins/release", "registry", "internal/..."}},
		{"plugins/conformance", []string{"adapters", "adapters/adaptertest", "golden", "plugins", "plugins/internal/...", "internal/execfault", "internal/printable", "internal/procfs"}},
		{"plugins/...", []string{"adapters", "plugins/internal/...", "internal/..."}},
		{"registry", []string{"adapters", "plugins/store", "internal/..."}},
		{"qformer/...", []string{"qformer/...", "internal/layers"}},
		{"bridge", []string{"adapters", "qformer", "tokenizer", "imaging", "internal/..."}},
		{"convert", []string{"adapters", "qformer", "bridge", "tokenizer", "internal/..."}},
		{"eval", []string{"adapters", "qformer", "bridge", "internal/..."}},
		{"train/...", []string{"adapters", "qformer/...", "bridge", "eval", "train/...", "kit/...", "imaging", "internal/..."}},
		{"recipes", []string{"adapters", "qformer", "bridge", "train", "eval", "registry", "kit", "plugins/manifest", "plugins/store", "internal/..."}},
		{"internal/lm/decoder", []string{"adapters", "tokenizer", "internal/..."}},
		{"internal/lm/lmtest", []string{"adapters", "golden", "golden/goldentest", "internal/..."}},
		{"internal/vision/visiontest", []string{"adapters", "adapters/adaptertest", "golden", "golden/goldentest", "internal/..."}},
		{"internal/lm", []string{"adapters", "tokenizer", "internal/..."}},
		{"internal/pluginproject", []string{"", "adapters", "plugins/manifest", "internal/..."}},
		{"internal/pluginproject/template/...", []string{"adapters", "plugins"}}, // what an outside author can
		{"internal/...", []string{"adapters", "internal/..."}},
		{"tools/xla", nil},
		{"tools/...", []string{"..."}},
		{"examples/...", []string{"adapters", "plugins", "tokenizer"}}, // what an outside author can
		{"cmd/...", []string{"..."}},
	}
}

// listed is a package as `go list -json` describes it.
type listed struct {
	ImportPath string
	Imports    []string
}

func TestImportDirection(t *testing.T) {
	packages := list(t)
	if len(packages) < 10 {
		t.Fatalf("go list found %d packages", len(packages))
	}
	for _, p := range packages {
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		i := slices.IndexFunc(rules(), func(r rule) bool { return covers(r.packages, name) })
		if i < 0 {
			t.Errorf("no rule says what %s may import: add one, after a look at the design", name)
			continue
		}
		for _, imported := range p.Imports {
			below, own := strings.CutPrefix(imported+"/", module+"/")
			below = strings.TrimSuffix(below, "/") // empty for the root
			if own && !slices.ContainsFunc(rules()[i].may, func(m string) bool { return covers(m, below) }) {
				t.Errorf("%s imports %s; the design lets it import %v", name, below, rules()[i].may)
			}
		}
	}
}

// The contracts need nothing but the standard library.
func TestAdaptersNeedTheStandardLibraryAlone(t *testing.T) {
	for _, p := range list(t) {
		if p.ImportPath != module+"/adapters" {
			continue
		}
		for _, imported := range p.Imports {
			if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") {
				t.Errorf("adapters imports %s", imported)
			}
		}
	}
}

// Tools are for who builds bridge; the binary carries one of them.
func TestToolsAreImportedByTheCommandAlone(t *testing.T) {
	for _, p := range list(t) {
		for _, imported := range p.Imports {
			tool, ok := strings.CutPrefix(imported, module+"/tools/")
			if ok && (p.ImportPath != module+"/cmd/bridge" || tool != "xla") {
				t.Errorf("%s imports tools/%s; only cmd/bridge may import a tool, and only tools/xla", p.ImportPath, tool)
			}
		}
	}
}

// Examples are what others copy: no rule may let them import what others cannot.
func TestExamplesImportNothingInternal(t *testing.T) {
	for _, r := range rules() {
		if !strings.HasPrefix(r.packages, "examples") {
			continue
		}
		if i := slices.IndexFunc(r.may, func(m string) bool { return m == "..." || strings.Contains(m, "internal") }); i >= 0 {
			t.Errorf("the rule for %s allows %s", r.packages, r.may[i])
		}
	}
}

func TestRulesFit(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"adapters", "adapters", true}, {"adapters", "adapters/opt", false}, {"adapters/...", "adapters/opt", true},
		{"train/...", "train", true}, {"train/...", "training", false}, {"...", "cmd/bridge", true},
	} {
		if covers(c.pattern, c.name) != c.want {
			t.Errorf("covers(%q, %q) = %v", c.pattern, c.name, !c.want)
		}
	}
}

func covers(pattern, name string) bool {
	prefix, below := strings.CutSuffix(pattern, "...")
	if !below {
		return pattern == name
	}
	return strings.HasPrefix(name+"/", prefix)
}

func list(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", module+"/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var all []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}
