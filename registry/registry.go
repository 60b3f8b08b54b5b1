package registry

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/didyoumean"
	"github.com/modular-bridging/bridge/internal/hub"
	"github.com/modular-bridging/bridge/internal/shell"
	"github.com/modular-bridging/bridge/plugins/store"
)

// Options are the sources of a registry.
type Options struct {
	// Families are the adapters that are built in.
	Families []adapters.Family
	// Config is the user's configuration folder; empty means none.
	Config string
	// KitModels are the ids of the models that the binary carries, KitFolder
	// unpacks one of them and returns its folder.
	KitModels []string
	KitFolder func(id string) (dir string, err error)
	// Hub is the Hugging Face cache folder ("…/hub"); empty means none.
	Hub string
	// Plugins are the folders in which third-party adapters are found by name.
	Plugins store.Folders
}

// Registry knows backbones by id. It does not change after [New].
type Registry struct {
	options   Options
	manifests map[string]Manifest
	paths     map[string]string // recorded by AddPath
}

// New reads the manifests that ship with bridge, and the user's.
func New(o Options) (*Registry, error) {
	r := &Registry{options: o, manifests: map[string]Manifest{}}
	models, err := fs.Sub(shipped, "models")
	if err != nil {
		return nil, err
	}
	own, err := readManifests(models, "models")
	if err != nil {
		return nil, err
	}
	users, err := readUserManifests(o.Config)
	if err != nil {
		return nil, err
	}
	for _, m := range append(own, users...) {
		r.manifests[m.ID] = m
	}
	r.paths, err = r.readPaths()
	return r, err
}

// Default returns the options of a command-line program: $BRIDGE_CONFIG or the user's
// configuration folder, the cache of Hugging Face's tools, and the plugins of the working
// folder and of the user.
func Default() Options {
	return Options{Config: ConfigDir(), Hub: hub.CacheDir(), Plugins: store.Default()}
}

// ConfigDir returns $BRIDGE_CONFIG or else the bridge folder in the user's
// configuration folder; empty if the system names none.
func ConfigDir() string {
	if dir := os.Getenv("BRIDGE_CONFIG"); dir != "" {
		return dir
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "bridge")
}

// Backbone is a frozen model that a recipe or a command names.
type Backbone struct {
	Manifest
	// Source is the place of the weights.
	Source Source
	// Path is the checkpoint folder; for a kit model empty until
	// [Backbone.Folder] unpacks it. If Source is Missing, it is a recorded folder that no
	// longer exists, or empty.
	Path string
	// Commit is the repository's commit if Source is FromHub.
	Commit string

	kit func(id string) (string, error)
}

// Source is the place of a backbone's weights.
type Source string

// The places of weights, in the order in which they are looked for.
const (
	FromFolder Source = "folder" // named by its path
	FromPath   Source = "path"   // recorded by `bridge models add`
	FromKit    Source = "kit"    // carried by the binary
	FromHub    Source = "hub"    // in the Hugging Face cache
	Missing    Source = "missing"
)

// IDs returns the ids, those of the kit first, then in order.
func (r *Registry) IDs() []string {
	ids := make([]string, 0, len(r.manifests))
	for id := range r.manifests {
		ids = append(ids, id)
	}
	elsewhere := func(id string) int { return len(r.manifests[id].Repository) }
	slices.SortFunc(ids, func(a, b string) int {
		return cmp.Or(cmp.Compare(min(elsewhere(a), 1), min(elsewhere(b), 1)),
			strings.Compare(string(r.manifests[b].Kind), string(r.manifests[a].Kind)), strings.Compare(a, b))
	})
	return ids
}

// Lookup finds a backbone by id, or by the path of a checkpoint folder.
func (r *Registry) Lookup(id string) (Backbone, error) { return r.LookupKind(id, "") }

// LookupKind is like [Registry.Lookup], for a model of the given kind: of a folder with a
// whole BLIP-2 it returns that part. It does not check the kind of a registry id.
func (r *Registry) LookupKind(id string, kind adapters.ModelKind) (Backbone, error) {
	if m, ok := r.manifests[id]; ok {
		return r.locate(m), nil
	}
	if isCheckpoint(id) {
		return r.FolderKind(id, kind)
	}
	err := adapters.Errorf(adapters.NotFound, "no model %q, neither a registry id nor a folder with a config.json", id)
	if near := didyoumean.Names(id, r.IDs(), 3); len(near) > 0 {
		return Backbone{}, err.WithRemedy("did you mean %s?", strings.Join(near, " or "))
	}
	return Backbone{}, err.WithRemedy("`bridge models list` shows the ids")
}

// Plugin finds a third-party adapter by name or path, without running it.
func (r *Registry) Plugin(name string) (store.Plugin, error) { return r.options.Plugins.Find(name) }

// locate looks for the weights of a manifest.
func (r *Registry) locate(m Manifest) Backbone {
	b := Backbone{Manifest: m, Source: Missing, kit: r.options.KitFolder}
	if dir, ok := r.paths[m.ID]; ok {
		b.Path = dir
		if isCheckpoint(dir) {
			b.Source = FromPath
		}
		return b
	}
	if slices.Contains(r.options.KitModels, m.ID) {
		b.Source = FromKit
		return b
	}
	if dir, commit, ok := hub.Find(r.options.Hub, m.Repository, m.Revision, hub.IsModel); ok {
		b.Source, b.Path, b.Commit = FromHub, dir, commit
	}
	return b
}

// Folder returns the backbone's checkpoint folder. It unpacks a kit model. If the weights are
// missing, the error says what to fetch.
func (b Backbone) Folder() (string, error) {
	switch {
	case b.Source == FromKit:
		return b.kit(b.ID)
	case b.Source == Missing && b.Path == "":
		fact, remedy := b.Missing()
		return "", adapters.Errorf(adapters.NotFound, "%s", fact).WithRemedy("%s", remedy)
	case b.Source == FromFolder: // the adapter checks its content
		if info, err := os.Stat(b.Path); err != nil || !info.IsDir() {
			return "", adapters.Errorf(adapters.NotFound, "%s is not there, or no folder", b.Path).
				WithRemedy("put the checkpoint back, or name another folder")
		}
	case !isCheckpoint(b.Path):
		return "", adapters.Errorf(adapters.NotFound, "the folder of %s, %s, has no config.json", b.ID, b.Path).
			WithRemedy("put the checkpoint back, or record another folder with `bridge models add %s --path DIR`", shell.Path(b.ID))
	}
	return b.Path, nil
}

// Missing describes a backbone without weights: its size, and how to get it. Both
// are empty if its folder was recorded.
func (b Backbone) Missing() (fact, remedy string) {
	if b.Path != "" {
		return "", ""
	}
	fact = "the weights of " + b.ID + " are not on this machine"
	var facts []string
	if b.Parameters > 0 {
		facts = append(facts, Count(b.Parameters)+" parameters")
	}
	if b.Download > 0 {
		facts = append(facts, "download "+Size(b.Download))
	}
	if len(facts) > 0 {
		fact += ": " + strings.Join(facts, ", ")
	}
	if b.Repository == "" {
		return fact, fmt.Sprintf("this binary was built without them: `make kit` builds them, `bridge models add %s --path DIR` records a folder", shell.Path(b.ID))
	}
	return fact, fmt.Sprintf("`bridge models pull %s` fetches %s from the Hugging Face hub; without a network, `bridge models add %s --path DIR` records a folder",
		shell.Path(b.ID), b.Repository, shell.Path(b.ID))
}

// Family returns the built-in adapter of a backbone.
func (r *Registry) Family(b Backbone) (adapters.Family, error) {
	names := r.familyNames()
	i := slices.Index(names, b.Manifest.Family)
	if i < 0 {
		return adapters.Family{}, adapters.Errorf(adapters.Unsupported, "%s needs the adapter family %q, this binary has %s%s",
			b.ID, b.Manifest.Family, strings.Join(names, ", "), didyoumean.Hint(b.Manifest.Family, names)).
			WithRemedy("name a plugin that has it with plugin = \"NAME\" in the recipe (bridge plugin list)")
	}
	return r.options.Families[i], nil
}

// Families returns the adapter families that are built in.
func (r *Registry) Families() []adapters.Family { return slices.Clone(r.options.Families) }

func (r *Registry) familyNames() []string {
	var names []string
	for _, f := range r.options.Families {
		names = append(names, f.Name)
	}
	return names
}

func isCheckpoint(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "config.json"))
	return dir != "" && err == nil
}

// Snapshot finds a file's folder in the Hugging Face cache: of a repository,
// "owner/name" or an old name without an owner.
func (r *Registry) Snapshot(repository, file string) (dir string, ok bool) {
	for _, name := range []string{repository, FullName(repository)} {
		dir, _, ok = hub.Find(r.options.Hub, name, hub.Main, func(dir string) bool { return hub.Holds(dir, file) })
		if ok {
			return dir, ok
		}
	}
	return "", false
}

// FullName returns "owner/name" of a repository that recipes name as transformers
// did before every repository had an owner.
func FullName(repository string) string {
	if strings.HasPrefix(repository, "bert-") {
		return "google-bert/" + repository
	}
	return repository
}

// Count returns a number of parameters for people: "2.7B", "826.6k".
func Count(n int64) string {
	v, unit := float64(n), ""
	for _, u := range []string{"k", "M", "B"} {
		if v < 999.5 {
			break
		}
		v, unit = v/1000, u
	}
	if unit == "" {
		return strconv.FormatInt(n, 10)
	}
	return trimmed(v, 1) + unit
}

// Known returns a number for people, or "-" if it is 0, that is, not known.
func Known(n int64, format func(int64) string) string {
	if n == 0 {
		return "-"
	}
	return format(n)
}

// trimmed formats with at most the given decimals and no ".0".
func trimmed(v float64, decimals int) string {
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', decimals, 64), ".0")
}
