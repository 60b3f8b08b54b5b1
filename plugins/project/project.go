package project

import (
	"path/filepath"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/manifest"
)

// Project is a plugin's folder.
type Project struct {
	Dir      string // absolute
	Program  string // path of the executable, absolute
	Manifest manifest.Manifest
}

// Open reads the folder of a plugin, which need not be built yet.
func Open(dir string) (*Project, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	m, err := manifest.Load(dir)
	if err != nil {
		return nil, err
	}
	return &Project{Dir: dir, Program: m.Path(dir), Manifest: m}, nil
}

// Checkpoint returns the checkpoint that the plugin's tests load, or an empty string if the
// plugin contains its model.
func (p *Project) Checkpoint() string {
	if p.Manifest.Test.Checkpoint == "" {
		return ""
	}
	return filepath.Join(p.Dir, filepath.FromSlash(p.Manifest.Test.Checkpoint))
}

// Languages returns the programming languages of projects.
func Languages() []string { return []string{"go", "python"} }

// Kinds returns the kinds of model that a project can have.
func Kinds() []adapters.ModelKind {
	return []adapters.ModelKind{adapters.KindLanguage, adapters.KindVision}
}

// Options describe a project to make.
type Options struct {
	Name     string
	Language string // one of [Languages]
	Kind     adapters.ModelKind
	Dir      string   // of the project; must not exist
	Reserved []string // names with another meaning: the built-in families
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
