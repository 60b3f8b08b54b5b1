package manifest

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unicode"

	"github.com/modular-bridging/bridge/adapters"
	terminal "github.com/modular-bridging/bridge/internal/printable"
	"github.com/modular-bridging/bridge/internal/stricttoml"
)

const whole = `
name = "my-llm"
version = "1.2.0-rc.1+build5"
protocol = [1, 2]
kind = "language-model"
families = ["opt", "gpt2"]
executable = "bin/bridge-adapter-my-llm"
capabilities = ["gradient", "score"]
environment = ["OPENAI_API_KEY"]
network = true
description = "Ein Modell für alle"
license = "Apache-2.0"
homepage = "https://example.org/my-llm"
public_key = "RWQ"
[build]
command = "go build -o bin/bridge-adapter-my-llm ."
[test]
checkpoint = "testdata/tiny"
`

const least = "name = 'x'\nversion = '0.1.0'\nprotocol = [1]\nkind = 'vision-encoder'\n"

func TestParse(t *testing.T) {
	got, err := Parse("plugin.toml", []byte(whole))
	want := Manifest{Name: "my-llm", Version: "1.2.0-rc.1+build5", Protocol: []int{1, 2}, Kind: adapters.KindLanguage,
		Families: []string{"opt", "gpt2"}, Executable: "bin/bridge-adapter-my-llm",
		Capabilities: []adapters.Capability{adapters.CapGradient, adapters.CapScore}, Environment: []string{"OPENAI_API_KEY"}, Network: true,
		Description: "Ein Modell für alle", License: "Apache-2.0", Homepage: "https://example.org/my-llm", PublicKey: "RWQ",
		Build: Build{Command: "go build -o bin/bridge-adapter-my-llm ."}, Test: Test{Checkpoint: "testdata/tiny"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	small, err := Parse("plugin.toml", []byte(least))
	if err != nil || small.Program() != "bridge-adapter-x" || small.Path("/a") != filepath.FromSlash("/a/bridge-adapter-x") {
		t.Errorf("got %+v, %v", small, err)
	}
	for _, m := range []Manifest{got, small} {
		text, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := Parse("again", text); err != nil || !reflect.DeepEqual(again, m) {
			t.Errorf("%s\nis %+v, %v; want %+v", text, again, err, m)
		}
	}
}

// refusal is a change of [least] that makes it invalid.
type refusal struct{ change, to, want string }

func (r refusal) text() []byte { return []byte(strings.Replace(least, r.change, r.to, 1)) }

func refusals() []refusal {
	return []refusal{
		{"name = 'x'", "nam = 'x'", "plugin.toml:1: nam: unknown key; did you mean name?"},
		{"name = 'x'", "name = '../x'", `plugin.toml:1: name: the name is "../x", want lower case letters`},
		{"name = 'x'", "name = 'X'", `the name is "X"`},
		{"name = 'x'", "name = '-x'", `the name is "-x"`},
		{"name = 'x'", "name = 3", "name: is the integer 3, want a string"},
		{"version = '0.1.0'", "", `version: is "", want a semantic version`},
		{"version = '0.1.0'", "version = '1.0'", `plugin.toml:2: version: is "1.0", want a semantic version, such as 1.2.0`},
		{"version = '0.1.0'", "version = 'v1.0.0'", `is "v1.0.0"`},
		{"protocol = [1]", "", "protocol: is missing"},
		{"protocol = [1]", "protocol = []", "protocol: is missing"},
		{"protocol = [1]", "protocol = [2, 1]", "is [2 1], want rising numbers"},
		{"protocol = [1]", "protocol = [1, 1]", "is [1 1], want rising numbers"},
		{"protocol = [1]", "protocol = [0]", "is [0], want rising numbers from 1 on"},
		{"kind = 'vision-encoder'", "kind = 'vision'", `kind: is "vision", want one of vision-encoder, language-model`},
		{"kind = 'vision-encoder'", "kind = 'language-modl'", "did you mean language-model?"},
		{"kind", "families = ['a b']\nkind", `families: holds "a b"`},
		{"kind", "families = ['a', 'a']\nkind", `families: holds "a" twice`},
		{"kind", "executable = '/bin/bridge-adapter-x'\nkind", "executable: is \"/bin/bridge-adapter-x\", want a path in the plugin's folder that ends in bridge-adapter-x"},
		{"kind", "executable = '../bridge-adapter-x'\nkind", "want a path in the plugin's folder"},
		{"kind", "executable = 'a/../bridge-adapter-x'\nkind", "want a path in the plugin's folder"},
		{"kind", "executable = 'main'\nkind", "ends in bridge-adapter-x"},
		{"kind", "capabilities = ['gradient']\nkind", "capabilities: is given, but a vision-encoder has none"},
		{"kind = 'vision-encoder'", "capabilities = ['gradien']\nkind = 'language-model'", `is "gradien", want one of gradient, score, embed-tokens, count-tokens, row-options, cancel-rows, stop-texts, log-probs, token-counts; did you mean gradient?`},
		{"kind", "environment = ['A=b']\nkind", `environment: holds "A=b", want names of variables`},
		{"kind", "environment = ['BRIDGE_PLUGIN']\nkind", "bridge itself sets the variables"},
		{"kind", "environment = ['A', 'A']\nkind", `holds "A" twice`},
		{"kind", "description = \"\\u001b[2J\"\nkind", `description: is "\x1b[2J", want one line without control characters`},
		{"kind", "license = \"a\\nb\"\nkind", "license: is"},
		{"kind", "homepage = 'javascript:x'\nkind", "homepage: is \"javascript:x\", want an http or https address"},
		{"kind = 'vision-encoder'", "kind = 'vision-encoder'\n[build]\ncomand = 'x'", "build.comand: unknown key; did you mean build.command?"},
		{"kind = 'vision-encoder'", "kind = 'vision-encoder'\n[test]\ncheckpoint = '/etc'", "test.checkpoint: is \"/etc\", want a path in the plugin's folder"},
		{"kind", "kind = = 1\nkind", "not valid TOML"},
		{"kind", "exclude = ['../x']\nkind", `exclude: holds "../x", want paths in the plugin's folder`},
		{"kind", "exclude = ['.']\nkind", `exclude: holds ".", want paths`},
		{"kind", "exclude = ['plugin.toml']\nkind", `exclude: holds "plugin.toml", which the plugin needs`},
		{"kind", "exclude = ['bridge-adapter-x']\nkind", `holds "bridge-adapter-x", which the plugin needs`},
		{"kind", "executable = 'bin/bridge-adapter-x'\nexclude = ['bin']\nkind", `holds "bin", which the plugin needs`},
		{"kind", "exclude = ['a', 'a']\nkind", `exclude: holds "a" twice`},
		{"kind = 'vision-encoder'", "kind = 'vision-encoder'\n[build]\nmakes = ['a/b']", `build.makes: holds "a/b", want names at the root`},
		{"kind = 'vision-encoder'", "kind = 'vision-encoder'\n[build]\nmakes = ['plugin.toml']", `build.makes: holds "plugin.toml", which a build cannot make`},
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range refusals() {
		_, err := Parse("plugin.toml", c.text())
		var problems stricttoml.Problems
		if !errors.As(err, &problems) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q in it", c.to, err, c.want)
		}
	}
}

// One rule decides which files belong to the plugin.
func TestMembership(t *testing.T) {
	m := Manifest{Exclude: []string{"data/raw", "notes.md"}}
	for name, want := range map[string]Membership{
		"main.py": Member, "plugin.toml": Member, ".gitignore": Member, "data": Member, "data/rawer": Member,
		"data/raw": Excluded, "notes.md": Excluded, "runs": Excluded, "bridge.lock": Excluded,
		".git": Unsearched, ".mypy_cache": Unsearched,
		"lib/runs": Member, "sdk/.git": Member, // left out only at the root
		"__pycache__": Excluded, "lib/a/__pycache__": Excluded, "lib/__pycache__.py": Member,
		".venv": Member, ".venv/lib/python3.11/__pycache__": Member, "vendor/site-packages/x/__pycache__": Member,
	} {
		if got := m.MembershipOf(name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, File)
	if _, err := Load(dir); adapters.KindOf(err) != adapters.NotFound || !strings.Contains(err.Error(), "is not a plugin's folder") {
		t.Errorf("an empty folder: %v", err)
	}
	write := func(data string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(least)
	if m, err := Load(dir); err != nil || m.Name != "x" {
		t.Errorf("got %+v, %v", m, err)
	}
	write(least + "#" + strings.Repeat("x", maxSize))
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "at most 64 KiB") {
		t.Errorf("a large file: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "not a plain file") {
		t.Errorf("a pipe, which has no end: %v", err)
	}
}

// accepted fails unless a parsed manifest is valid.
func accepted(t *testing.T, m Manifest) {
	t.Helper()
	in := func(dir, path string) bool { return strings.HasPrefix(filepath.Join(dir, path), dir+"/") }
	switch {
	case CheckName(m.Name) != nil || !in("/plugin", m.Name):
		t.Fatalf("accepted the name %q", m.Name)
	case !in("/plugin", m.Program()) || filepath.Base(m.Program()) != Prefix+m.Name:
		t.Fatalf("accepted the program %q", m.Program())
	case m.Test.Checkpoint != "" && m.Test.Checkpoint != "." && !in("/plugin", m.Test.Checkpoint):
		t.Fatalf("accepted the checkpoint %q", m.Test.Checkpoint)
	case m.Kind != adapters.KindLanguage && m.Kind != adapters.KindVision:
		t.Fatalf("accepted the kind %q", m.Kind)
	case len(m.Protocol) == 0 || slices.Min(m.Protocol) < 1:
		t.Fatalf("accepted the protocol %v", m.Protocol)
	case m.Version == "" || strings.ContainsAny(m.Version, " /\n"):
		t.Fatalf("accepted the version %q", m.Version)
	case strings.ContainsFunc(m.Description+m.License+m.Homepage+m.PublicKey+m.Build.Command, func(r rune) bool { return !unicode.IsPrint(r) }):
		t.Fatalf("accepted control characters: %+v", m)
	}
	for _, v := range m.Environment {
		if strings.ContainsAny(v, "= \x00") || v == "" || strings.HasPrefix(v, "BRIDGE_") || strings.HasPrefix(v, "PLUGIN_") {
			t.Fatalf("accepted the variable %q", v)
		}
	}
}

// Parsing ends for any text, and a parsed manifest is encoded to the same value.
func FuzzManifest(f *testing.F) {
	for _, seed := range []string{whole, least, "", "name", "a = [[[1]]]\n[a]\n", "name.x = 1", "protocol = [9223372036854775807]", "[build]\n[build]\n", "\xff", "kind = 'vision-encoder'\n[test]\ncheckpoint='.'"} {
		f.Add(seed)
	}
	for _, r := range refusals() { // all known errors
		f.Add(string(r.text()))
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := Parse("plugin.toml", []byte(text))
		if err != nil {
			if m := err.Error(); m != terminal.Text(m) {
				t.Fatalf("the error has control characters: %q", m)
			}
			return
		}
		accepted(t, m)
		encoded, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse("again", encoded)
		if err != nil {
			t.Fatalf("%v in\n%s", err, encoded)
		}
		if second, err := again.Encode(); err != nil || string(second) != string(encoded) {
			t.Fatalf("%s\nbecame\n%s, %v", encoded, second, err)
		}
	})
}
