package recipes

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/registry"
)

// Resolved is a recipe whose frozen models are known. Texts and types that are in the
// models' manifests are written out, and paths are absolute.
type Resolved struct {
	Recipe
	VisionModel   registry.Backbone  // if only a plugin knows the model: id, kind and templates
	LanguageModel *registry.Backbone // nil in stage 1
	// Otherwise is the recipe of a run whose projection cannot go through words, as this recipe has
	// it by default. It has the same models and data. Nil: there is no other.
	Otherwise *Resolved
}

// Resolve looks up the recipe's models and the bridge that it starts from, and checks
// that they can be used as the recipe says. The weights of the models and the data need
// not be there.
func (r *Recipe) Resolve(reg *registry.Registry) (*Resolved, error) {
	out := &Resolved{Recipe: *r}
	if r.Language != nil {
		language := *r.Language
		out.Language = &language
	}
	if err := out.absolutePaths(); err != nil {
		return nil, err
	}
	var found bool
	if out.VisionModel, found = out.resolveBackbone(reg, "vision", &out.Vision.Backbone, adapters.KindVision); found {
		out.resolveVision()
	}
	if out.Language != nil {
		language, found := out.resolveBackbone(reg, "language", &out.Language.Backbone, adapters.KindLanguage)
		out.LanguageModel = &language
		if found {
			out.resolveLanguage()
		}
	}
	out.resolveFrom()
	return out, r.doc.Err()
}

// resolveFrom checks that the bridge that the recipe starts from is there.
func (r *Resolved) resolveFrom() {
	r.want("from", r.From == "" || strings.HasPrefix(r.From, kitPrefix) || isFolder(r.From),
		"is %q, which is not a folder; want the folder of a run or of a bridge, or one of %s", r.From, strings.Join(kitBridges(), ", "))
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// absolutePaths makes every path absolute, so that the recipe means the same from any
// working directory.
func (r *Resolved) absolutePaths() error {
	for _, s := range []*Source{&r.Data.Train, &r.Data.Eval} {
		absolute, err := s.absolute()
		if err != nil {
			return err
		}
		*s = absolute
	}
	paths := []*string{&r.Vision.Path, &r.Projection.List}
	if r.Language != nil {
		paths = append(paths, &r.Language.Path)
	}
	for _, p := range []*string{&r.QFormer.Init, &r.QFormer.Tokenizer} {
		if isFolder(*p) { // otherwise it is a repository, or the kit's
			paths = append(paths, p)
		}
	}
	if !strings.HasPrefix(r.From, kitPrefix) {
		paths = append(paths, &r.From)
	}
	for _, p := range paths {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return err
		}
		*p = abs
	}
	return nil
}
