package manifest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"unicode"

	"golang.org/x/mod/semver"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/didyoumean"
	"github.com/modular-bridging/bridge/internal/stricttoml"
)

// maxSize is the most bytes of a manifest.
const maxSize = 64 << 10

// Load reads the manifest of the plugin in a folder. The executable need not exist yet.
func Load(dir string) (Manifest, error) {
	file := filepath.Join(dir, File)
	data, err := read(file)
	if errors.Is(err, fs.ErrNotExist) {
		return Manifest{}, adapters.Errorf(adapters.NotFound, "%s is not a plugin's folder: %w", dir, err).
			WithRemedy("name a folder with a %s; `bridge plugin new NAME` makes one", File)
	}
	if errors.Is(err, syscall.ENOTDIR) {
		return Manifest{}, adapters.Errorf(adapters.Invalid, "%s is a file, want a plugin's folder", dir).
			WithRemedy("name the folder that contains its %s", File)
	}
	if err != nil {
		return Manifest{}, adapters.Errorf(adapters.Invalid, "%s cannot be read: %w", file, err).
			WithRemedy("a manifest is a plain file of at most %d KiB", maxSize>>10)
	}
	return Parse(file, data)
}

// read reads a plain file of at most maxSize bytes. The file is untrusted, and could
// be a pipe, a device, or endless.
func read(file string) ([]byte, error) {
	info, err := os.Lstat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("it is not a plain file (%s)", info.Mode().Type())
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err == nil && len(data) > maxSize {
		err = errors.New("it is larger")
	}
	return data, err
}

// Parse parses the text of a manifest. name is the file's name in messages. The error lists
// all problems, with their lines.
func Parse(name string, data []byte) (Manifest, error) {
	doc, err := stricttoml.Parse(name, data)
	if err != nil {
		return Manifest{}, err
	}
	var m Manifest
	doc.Decode(&m)
	check := checker{doc}
	check.identity(&m)
	check.program(&m)
	check.requests(&m)
	check.text(&m)
	return m, doc.Err()
}

// checker reports problems of a manifest.
type checker struct{ doc *stricttoml.Document }

// require reports a problem with a key unless ok.
func (c checker) require(key string, ok bool, format string, args ...any) {
	if !ok {
		c.doc.Errorf(key, format, args...)
	}
}

var (
	plainName = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$`)
	family    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	variable  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
)

// CheckName returns an error that describes the allowed names, unless name is one.
func CheckName(name string) error {
	if plainName.MatchString(name) {
		return nil
	}
	return adapters.Errorf(adapters.Invalid,
		"the name is %q, want lower case letters, digits, - and _, at most 64, with a letter or digit at both ends", name)
}

func (c checker) identity(m *Manifest) {
	if err := CheckName(m.Name); err != nil {
		c.doc.Errorf("name", "%v", err)
	}
	v := "v" + m.Version
	c.require("version", semver.IsValid(v) && semver.Canonical(v)+semver.Build(v) == v,
		"is %q, want a semantic version, such as 1.2.0", m.Version)
	c.require("protocol", len(m.Protocol) > 0, "is missing, want the major versions of the plugin protocol that it speaks, such as [1]")
	rising := slices.IsSorted(m.Protocol) && len(slices.Compact(slices.Clone(m.Protocol))) == len(m.Protocol)
	c.require("protocol", len(m.Protocol) == 0 || rising && m.Protocol[0] > 0, "is %v, want rising numbers from 1 on", m.Protocol)
	c.oneOf("kind", string(m.Kind), string(adapters.KindVision), string(adapters.KindLanguage))
	for _, f := range m.Families {
		c.require("families", family.MatchString(f), "holds %q, want letters, digits, - _ and .", f)
	}
	c.unique("families", m.Families)
}

func (c checker) program(m *Manifest) {
	c.require("executable", CheckName(m.Name) != nil || path.Base(m.Program()) == Prefix+m.Name && inside(m.Program()),
		"is %q, want a path in the plugin's folder that ends in %s%s", m.Program(), Prefix, m.Name)
	c.require("test.checkpoint", m.Test.Checkpoint == "" || inside(m.Test.Checkpoint),
		"is %q, want a path in the plugin's folder", m.Test.Checkpoint)
	for _, p := range m.Exclude {
		c.require("exclude", inside(p) && p != "." && printable(p), "holds %q, want paths in the plugin's folder", p)
		c.require("exclude", p != File && !strings.HasPrefix(m.Program()+"/", p+"/"), "holds %q, which the plugin needs", p)
	}
	c.unique("exclude", m.Exclude)
	for _, p := range m.Build.Makes {
		c.require("build.makes", inside(p) && p != "." && !strings.Contains(p, "/") && printable(p), "holds %q, want names at the root of the plugin's folder", p)
		c.require("build.makes", p != File, "holds %q, which a build cannot make", p)
	}
	c.unique("build.makes", m.Build.Makes)
}

// inside reports whether a path with slashes stays in its folder and is in its canonical
// form.
func inside(p string) bool {
	return !strings.Contains(p, `\`) && fs.ValidPath(p) && filepath.IsLocal(filepath.FromSlash(p))
}

// requests checks the plugin's capabilities and the access that it needs.
func (c checker) requests(m *Manifest) {
	var known []string
	for _, c := range adapters.LanguageCapabilities() {
		known = append(known, string(c))
	}
	var named []string
	for _, capability := range m.Capabilities {
		named = append(named, string(capability))
		c.oneOf("capabilities", string(capability), known...)
	}
	c.unique("capabilities", named)
	c.require("capabilities", len(named) == 0 || m.Kind != adapters.KindVision, "is given, but a %s has none", m.Kind)
	if err := CheckVariables(m.Environment); err != nil {
		c.doc.Errorf("environment", "%w", err)
	}
	c.unique("environment", m.Environment)
}

// CheckVariables returns an error for names that no plugin can get: invalid names of
// variables, and names that bridge itself sets for plugins.
func CheckVariables(names []string) error {
	for _, v := range names {
		if !variable.MatchString(v) {
			return adapters.Errorf(adapters.Invalid, "holds %q, want names of variables", v)
		}
		if strings.HasPrefix(v, "BRIDGE_") || strings.HasPrefix(v, "PLUGIN_") {
			return adapters.Errorf(adapters.Invalid, "holds %q, but bridge itself sets the variables that begin with BRIDGE_ or PLUGIN_", v)
		}
	}
	return nil
}

// text checks the texts that are shown to people. They must not have control characters.
func (c checker) text(m *Manifest) {
	for _, w := range []struct{ key, text string }{
		{"description", m.Description}, {"license", m.License}, {"homepage", m.Homepage}, {"public_key", m.PublicKey},
		{"executable", m.Executable}, {"build.command", m.Build.Command}, {"test.checkpoint", m.Test.Checkpoint},
	} {
		c.require(w.key, printable(w.text), "is %q, want one line without control characters", w.text)
	}
	if m.Homepage != "" {
		u, err := url.Parse(m.Homepage)
		c.require("homepage", err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "", "is %q, want an http or https address", m.Homepage)
	}
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar })
}

func (c checker) oneOf(key, value string, choices ...string) {
	c.require(key, slices.Contains(choices, value), "is %q, want one of %s%s", value, strings.Join(choices, ", "), didyoumean.Hint(value, choices))
}

func (c checker) unique(key string, values []string) {
	for i, v := range values {
		c.require(key, !slices.Contains(values[:i], v), "holds %q twice", v)
	}
}
