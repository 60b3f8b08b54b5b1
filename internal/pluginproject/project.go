package pluginproject

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/BurntSushi/toml"

	"github.com/modular-bridging/bridge/adapters"
)

// manifestFile is what makes a folder a plugin's.
const manifestFile = "plugin.toml"

// programPrefix begins the name of a plugin's executable.
const programPrefix = "bridge-adapter-"

// Project is a plugin's folder.
type Project struct {
	Dir     string // absolute
	Name    string
	Program string // path of the executable, absolute

	command string // that builds it; empty where there is nothing to build
}

// Open reads the folder of a plugin. What is built from source need not be built
// yet.
func Open(dir string) (*Project, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, manifestFile)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, adapters.Errorf(adapters.NotFound, "%s is no plugin's folder: %w", dir, err).
			WithRemedy("name a folder with a plugin.toml; `bridge plugin new NAME` makes one")
	}
	if err != nil {
		return nil, adapters.Errorf(adapters.Invalid, "%s cannot be read: %w", file, err)
	}
	var m struct {
		Name       string
		Executable string
		Build      struct{ Command string }
	}
	if err := toml.Unmarshal(text, &m); err != nil {
		return nil, adapters.Errorf(adapters.Invalid, "%s: %w", file, err)
	}
	if m.Executable == "" {
		m.Executable = programPrefix + m.Name
	}
	if !filepath.IsLocal(filepath.FromSlash(m.Executable)) {
		return nil, adapters.Errorf(adapters.Invalid, "%s: executable is %q, want a path in the plugin's folder", file, m.Executable)
	}
	return &Project{Dir: dir, Name: m.Name, Program: filepath.Join(dir, filepath.FromSlash(m.Executable)), command: m.Build.Command}, nil
}

// Languages are those that projects can be written in.
func Languages() []string { return []string{"go", "python"} }

// Kinds are what a project's model can be.
func Kinds() []adapters.ModelKind {
	return []adapters.ModelKind{adapters.KindLanguage, adapters.KindVision}
}

// Options say what project to make.
type Options struct {
	Name     string
	Language string // one of [Languages]
	Kind     adapters.ModelKind
	Dir      string   // of the project, which must not be there
	Reserved []string // names that mean something else: the built-in families
}

func (o Options) check() error {
	if err := checkName(o.Name, o.Reserved); err != nil {
		return err
	}
	if !slices.Contains(Languages(), o.Language) {
		return adapters.Errorf(adapters.Invalid, "the language is %q, want one of %v", o.Language, Languages())
	}
	if !slices.Contains(Kinds(), o.Kind) {
		return adapters.Errorf(adapters.Invalid, "the kind is %q, want one of %v", o.Kind, Kinds())
	}
	return nil
}
