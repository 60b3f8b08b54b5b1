package recipes

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/didyoumean"
	"github.com/modular-bridging/bridge/plugins/store"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/train"
)

// Resolved is a recipe whose names have a meaning: the frozen models are
// known, texts and types that the manifests give are written out, paths are
// absolute.
type Resolved struct {
	Recipe
	VisionModel   registry.Backbone  // of a plugin's own model only id, kind and prompts are known
	LanguageModel *registry.Backbone // nil in stage 1
}

// Resolve looks up the recipe's models and the bridge that it starts from, and
// checks that they can be used as the recipe says. The weights of the models and
// the data need not be there.
func (r *Recipe) Resolve(reg *registry.Registry) (*Resolved, error) {
	out := &Resolved{Recipe: *r}
	if r.Language != nil {
		language := *r.Language
		out.Language = &language
	}
	if err := out.absolutePaths(); err != nil {
		return nil, err
	}
	plugin := out.resolvePlugin(reg, "vision", &out.Vision.Backbone, adapters.KindVision)
	var found bool
	if out.VisionModel, found = r.lookup(reg, plugin, "vision", out.Vision.Backbone, adapters.KindVision); found {
		out.Vision.settle(out.VisionModel)
		out.resolveVision()
	}
	if r.Language != nil {
		plugin := out.resolvePlugin(reg, "language", &out.Language.Backbone, adapters.KindLanguage)
		language, found := r.lookup(reg, plugin, "language", out.Language.Backbone, adapters.KindLanguage)
		out.LanguageModel = &language
		if found {
			out.Language.settle(language)
			out.resolveLanguage()
		}
	}
	out.checkFrom()
	return out, r.doc.Err()
}

// resolvePlugin finds the plugin that a backbone names, and puts its path in the
// place of the name. It is zero where none is named or found.
func (r *Resolved) resolvePlugin(reg *registry.Registry, table string, b *Backbone, kind adapters.ModelKind) store.Plugin {
	if b.Plugin == "" {
		return store.Plugin{}
	}
	found, err := reg.Plugin(b.Plugin)
	if err == nil {
		err = found.CheckBuilt()
	}
	if err == nil && found.Manifest.Kind != "" && found.Manifest.Kind != kind {
		err = adapters.Errorf(adapters.Invalid, "is %q, a %s, want a %s", found.Name, found.Manifest.Kind, kind)
	}
	if err == nil && !strings.Contains(b.Plugin, "/") {
		b.Plugin = found.Dir
	} else if err == nil {
		b.Plugin, err = filepath.Abs(b.Plugin)
	}
	if err != nil {
		r.doc.Errorf(table+".plugin", "%w", err)
		return store.Plugin{}
	}
	return found
}

// lookup finds a backbone and checks its kind, and that an adapter for it can be
// started.
func (r *Recipe) lookup(reg *registry.Registry, plugin store.Plugin, table string, b Backbone, kind adapters.ModelKind) (registry.Backbone, bool) {
	if b.Plugin != "" {
		if found, ok := ofPlugin(reg, plugin, b, kind); ok {
			return found, true
		}
	}
	key, find := table+".id", reg.LookupOf
	if b.Path != "" {
		key, find = table+".path", reg.FolderOf
	}
	found, err := find(b.ID+b.Path, kind)
	if err != nil && b.Plugin != "" && b.Path != "" {
		r.doc.Errorf(key, "is %q, which is no folder; want the one that the plugin reads", b.Path)
		return found, false
	}
	if err != nil {
		r.doc.Errorf(key, "%w", err)
		return found, false
	}
	if found.Kind != kind {
		r.doc.Errorf(key, "is %q, a %s, want a %s%s", found.ID, found.Kind, kind, suggest(reg, found.ID, kind))
		return found, false
	}
	if _, err := reg.Family(found); err != nil && b.Plugin == "" {
		r.doc.Errorf(key, "%v", err)
		return found, false
	}
	if b.Plugin != "" && found.Source == registry.FromFolder {
		found.ID = modelName(plugin, found.Path)
	}
	return found, true
}

// modelName is what tables call the model in a folder that a plugin reads: by the
// plugin where the folder lies in the plugin's own, as a project's "checkpoint" does.
func modelName(plugin store.Plugin, path string) string {
	inside, err := filepath.Rel(plugin.Dir, path)
	if plugin.Dir == "" || err != nil || !filepath.IsLocal(inside) {
		return registry.FolderName(path)
	}
	parts := strings.Split(inside, string(filepath.Separator))
	if last := len(parts) - 1; parts[last] == "." || parts[last] == "checkpoint" {
		parts = parts[:last]
	}
	return strings.Join(append([]string{plugin.Name}, parts...), "-")
}

// ofPlugin returns a model that the plugin alone knows: one that it brings, or a
// folder that no built-in family reads.
func ofPlugin(reg *registry.Registry, plugin store.Plugin, b Backbone, kind adapters.ModelKind) (registry.Backbone, bool) {
	m := registry.Manifest{ID: plugin.Name, Kind: kind}
	if kind == adapters.KindLanguage {
		m.Prompts = registry.DefaultPrompts()
	}
	dir := b.ID + b.Path
	if dir == "" {
		return registry.Backbone{Manifest: m, Source: registry.FromFolder}, true
	}
	path, err := filepath.Abs(dir)
	if err != nil || !isFolder(path) {
		return registry.Backbone{}, false
	}
	if _, err := reg.LookupOf(dir, kind); err == nil {
		return registry.Backbone{}, false
	}
	m.ID = modelName(plugin, path)
	return registry.Backbone{Manifest: m, Source: registry.FromFolder, Path: path}, true
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// checkFrom looks for the bridge that the recipe starts from.
func (r *Resolved) checkFrom() {
	r.want("from", r.From == "" || strings.HasPrefix(r.From, kitPrefix) || isFolder(r.From),
		"is %q, which is no folder; want the folder of a run or of a bridge, or one of %s", r.From, strings.Join(kitBridges(), ", "))
}

// settle writes a folder that stood in an id's place down as what it is.
func (b *Backbone) settle(found registry.Backbone) {
	if found.Source == registry.FromFolder {
		b.ID, b.Path = "", found.Path
	}
}

// suggest names the ids of a kind, the nearest first where one is near.
func suggest(reg *registry.Registry, id string, kind adapters.ModelKind) string {
	var ids []string
	for _, candidate := range reg.IDs() {
		if b, err := reg.Lookup(candidate); err == nil && b.Kind == kind {
			ids = append(ids, candidate)
		}
	}
	if near := didyoumean.Hint(id, ids); near != "" {
		return near
	}
	return fmt.Sprintf(", one of %s", strings.Join(ids, ", "))
}

func (r *Resolved) resolveVision() {
	m, v := r.VisionModel, &r.Vision
	if v.DType == "" {
		v.DType = m.DType
	}
	if v.FeatureLayer == nil {
		v.FeatureLayer = m.FeatureLayer
	}
	if v.ImageSize == 0 {
		v.ImageSize = m.ImageSize
	}
	r.want("vision.image_size", m.ImageSize == 0 || v.ImageSize == m.ImageSize || m.TokensAt(v.ImageSize) > 0,
		"is %d, want a multiple of the %d pixels of a patch of %s", v.ImageSize, m.PatchSize, m.ID)
}

func (r *Resolved) resolveLanguage() {
	m, l := r.LanguageModel, r.Language
	if l.DType == "" {
		l.DType = m.DType
	}
	for _, t := range []struct {
		text  **string
		value string
	}{{&l.CaptionPrompt, m.Prompts.Caption}, {&l.QuestionPrompt, m.Prompts.Question}, {&l.TargetPrefix, m.Prompts.TargetPrefix}} {
		if *t.text == nil {
			*t.text = &t.value
		}
	}
	r.want("data.questions", r.Data.Questions == 0 || *l.QuestionPrompt != "", "is %v, but language.question_prompt is empty", r.Data.Questions)
	wants := map[train.Objective]adapters.Architecture{train.LanguageModeling: adapters.DecoderOnly, train.PrefixLM: adapters.EncoderDecoder}
	if a, ok := wants[r.Objective.Name]; ok && m.Architecture != "" {
		r.want("objective.name", m.Architecture == a, "is %q, which is for %s models, but %s is %s; want %q or %q",
			r.Objective.Name, a, m.ID, m.Architecture, train.PromptCaption, objectiveOf(m.Architecture))
	}
}

// ObjectiveFor returns the objective that does for a model of another
// architecture what o does for its own.
func ObjectiveFor(a adapters.Architecture, o train.Objective) train.Objective {
	if o == train.LanguageModeling || o == train.PrefixLM {
		return objectiveOf(a)
	}
	return o
}

func objectiveOf(a adapters.Architecture) train.Objective {
	if a == adapters.DecoderOnly {
		return train.LanguageModeling
	}
	return train.PrefixLM
}

// absolutePaths makes every path absolute, so that the recipe in a run folder
// means the same from anywhere.
func (r *Resolved) absolutePaths() error {
	paths := []*string{&r.Vision.Path, &r.Data.Train.Annotations, &r.Data.Train.Questions, &r.Data.Train.Images,
		&r.Data.Eval.Annotations, &r.Data.Eval.Questions, &r.Data.Eval.Images}
	if r.Language != nil {
		paths = append(paths, &r.Language.Path)
	}
	for _, p := range []*string{&r.QFormer.Init, &r.QFormer.Tokenizer} {
		if isFolder(*p) { // else it is a repository, or the kit's
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

// Prompts returns the texts around captions and questions; zero in stage 1.
func (r *Resolved) Prompts() bridge.Prompts {
	if r.Language == nil {
		return bridge.Prompts{}
	}
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	return bridge.Prompts{Caption: text(r.Language.CaptionPrompt), Question: text(r.Language.QuestionPrompt), TargetPrefix: text(r.Language.TargetPrefix)}
}
