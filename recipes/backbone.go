package recipes

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/didyoumean"
	"github.com/modular-bridging/bridge/plugins/host"
	"github.com/modular-bridging/bridge/plugins/manifest"
	"github.com/modular-bridging/bridge/plugins/store"
	"github.com/modular-bridging/bridge/registry"
)

// Backbone holds the keys that the tables [vision] and [language] share. They say which frozen
// model it is, and how it is opened.
type Backbone struct {
	// ID is the model's id in the registry, or a folder. Required, unless Path or Plugin
	// names the model.
	ID string `toml:"id,omitempty"`
	// Path is the folder of the model, in place of an id: a Hugging Face checkpoint, or
	// a folder that the plugin reads.
	Path string `toml:"path,omitempty"`
	// Plugin is a third-party adapter: its name, or the path of its folder or
	// executable. Resolved it is a path. Default: the built-in adapter of the model's
	// family.
	Plugin string `toml:"plugin,omitempty"`
	// Isolation is "process" (the model runs in a process of its own) or "none" (it runs
	// in this process; built-in adapters only). Default "process".
	Isolation string `toml:"isolation"`
	// Transport is how tensors pass between processes: "shared-memory", "grpc", or
	// "auto" for the first one that the system has. Default "auto".
	Transport string `toml:"transport,omitempty"`
	// DType is the type that the model computes in: "float32" or "bfloat16". Default:
	// that of the model's manifest.
	DType string `toml:"dtype,omitempty"`

	Limits

	// The keys below apply to plugins only. They can tighten the user's settings, and
	// not loosen them.

	// Locked starts the plugin only if the project's bridge.lock pins it. Default false.
	Locked bool `toml:"locked,omitempty"`
	// Sandbox is "on" (without network, and with few files) or "none". Default: the
	// user's setting.
	Sandbox string `toml:"sandbox,omitempty"`
	// Environment lists variables that the plugin may see in addition to those that all
	// plugins see. Default: none.
	Environment []string `toml:"environment,omitempty"`
}

// The places in which a built-in adapter can run.
const (
	IsolationProcess = "process"
	IsolationNone    = "none"
)

// Isolations returns the values of [Backbone.Isolation].
func Isolations() []string { return []string{IsolationProcess, IsolationNone} }

// Transports returns the values of [Backbone.Transport].
func Transports() []string { return host.Transports() }

// pluginKeys lists the keys of Backbone that apply to plugins only.
func pluginKeys() []string { return []string{"locked", "sandbox", "environment"} }

func defaultBackbone() Backbone { return Backbone{Isolation: IsolationProcess} }

func (r *Recipe) checkBackbone(table string, b Backbone) {
	switch {
	case b.ID != "" && b.Path != "":
		r.doc.Errorf(table+".path", "is given beside %s.id, want one of the two", table)
	case b.ID == "" && b.Path == "" && b.Plugin == "":
		r.doc.Errorf(table+".id", "is missing, want a registry id (`bridge models list`), or path for a checkpoint folder")
	}
	r.oneOf(table+".isolation", b.Isolation, Isolations()...)
	r.want(table+".isolation", b.Plugin == "" || b.Isolation == IsolationProcess,
		"is %q, want \"process\": an executable cannot run in this one", b.Isolation)
	if b.Transport != "" {
		r.oneOf(table+".transport", b.Transport, Transports()...)
	}
	if b.DType != "" {
		r.oneOf(table+".dtype", b.DType, registry.DTypes()...)
	}
	r.checkLimits(table, b)
	if b.Sandbox != "" {
		r.oneOf(table+".sandbox", b.Sandbox, "none", "on")
	}
	if err := manifest.CheckVariables(b.Environment); err != nil {
		r.doc.Errorf(table+".environment", "%w", err)
	}
	for _, key := range pluginKeys() {
		r.want(table+"."+key, b.Plugin != "" || !r.doc.Has(table+"."+key), "applies only to plugins, but %s.plugin is not set", table)
	}
}

// resolveBackbone finds the model that a table names, and writes paths and names into the
// table. It reports problems and returns false if there is no such model.
func (r *Resolved) resolveBackbone(reg *registry.Registry, table string, b *Backbone, kind adapters.ModelKind) (registry.Backbone, bool) {
	plugin := r.resolvePlugin(reg, table, b, kind)
	found, ok := r.findModel(reg, plugin, table, *b, kind)
	if ok && found.Source == registry.FromFolder { // the id may have been a folder
		b.ID, b.Path = "", found.Path
	}
	return found, ok
}

// resolvePlugin finds the plugin that a table names, and replaces its name by its path. It
// returns the zero value if none is named or found.
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

// findModel looks a model up, checks its kind and checks that an adapter for it can be
// started.
func (r *Resolved) findModel(reg *registry.Registry, plugin store.Plugin, table string, b Backbone, kind adapters.ModelKind) (registry.Backbone, bool) {
	if b.Plugin != "" {
		if found, ok := pluginModel(reg, plugin, b, kind); ok {
			return found, true
		}
	}
	key, find := table+".id", reg.LookupKind
	if b.Path != "" {
		key, find = table+".path", reg.FolderKind
	}
	found, err := find(b.ID+b.Path, kind)
	if err != nil && b.Plugin != "" && b.Path != "" {
		r.doc.Errorf(key, "is %q, which is not a folder; want the one that the plugin reads", b.Path)
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

// pluginModel returns a model that only the plugin knows: one that it brings with it, or a
// folder that no built-in family reads.
func pluginModel(reg *registry.Registry, plugin store.Plugin, b Backbone, kind adapters.ModelKind) (registry.Backbone, bool) {
	m := registry.Manifest{ID: plugin.Name, Kind: kind}
	if kind == adapters.KindLanguage {
		m.Templates = registry.DefaultTemplates()
	}
	dir := b.ID + b.Path
	if dir == "" {
		return registry.Backbone{Manifest: m, Source: registry.FromFolder}, true
	}
	path, err := filepath.Abs(dir)
	if err != nil || !isFolder(path) {
		return registry.Backbone{}, false
	}
	if _, err := reg.LookupKind(dir, kind); err == nil {
		return registry.Backbone{}, false
	}
	m.ID = modelName(plugin, path)
	return registry.Backbone{Manifest: m, Source: registry.FromFolder, Path: path}, true
}

// modelName returns the name that tables give to the model in a folder that a plugin
// reads. If the folder lies in the plugin's own folder, as a project's "checkpoint" does,
// the name begins with the plugin's.
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

// suggest returns a hint: the nearest id of a kind, or all of them if none is near.
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
