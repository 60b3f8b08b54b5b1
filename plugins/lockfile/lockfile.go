// Package lockfile owns bridge.lock: in a run folder it records the frozen models that the
// run used, in a project's folder it pins plugins. It must not know how a model or a plugin
// is found.
package lockfile

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/shell"
	"github.com/modular-bridging/bridge/internal/stricttoml"
	"github.com/modular-bridging/bridge/plugins/store"
)

// Name is the name of the lock file in a run folder and in a project's folder.
const Name = "bridge.lock"

// Lock records what a run used, so that a resumed run uses the same. In a project's folder it
// pins the project's plugins.
type Lock struct {
	Vision   Entry                `toml:"vision,omitempty"`  // of a run
	Language *Entry               `toml:"language"`          // of a run; nil in stage 1
	Plugins  map[string]store.Pin `toml:"plugins,omitempty"` // of a project, by the plugins' names
	// Project is the folder of a run's project relative to the run's folder, with slashes.
	// Paths in the run's recipe and lock file start there. It is empty if the run is
	// outside of the project. ProjectWas is the project's folder at the time.
	Project    string `toml:"project,omitempty"`
	ProjectWas string `toml:"project_was,omitempty"`
	// Start is the digest of the weights that the run started from: a bridge's, or those of
	// a text model. Locks of older versions have none.
	Start string `toml:"start,omitempty"`
}

// Entry is one frozen model of a run.
type Entry struct {
	ID           string `toml:"id"`
	Source       string `toml:"source"`                  // of the weights
	Digest       string `toml:"digest"`                  // of the weights, "sha256:…"
	Family       string `toml:"family"`                  // of the adapter
	Plugin       string `toml:"plugin,omitempty"`        // folder or executable of a third-party adapter
	PluginDigest string `toml:"plugin_digest,omitempty"` // of all of it, except a signature
	// PluginVersion is the manifest's, for people.
	PluginVersion string `toml:"plugin_version,omitempty"`
	// PluginParts are its [store.Pin.Parts]; locks of older versions have none.
	PluginParts map[string]string `toml:"plugin_parts,omitempty"`
	// withSignature is the digest that older versions recorded for a signed plugin.
	withSignature string
	Activation    string `toml:"activation,omitempty"` // replaces the checkpoint's
	Repository    string `toml:"repository,omitempty"` // on the hub, if the weights came from there
	Revision      string `toml:"revision,omitempty"`   // its commit
	// Layer is the layer of a vision encoder that gives the features, Image the size of its
	// pictures ("224x224"), DType the type of the computation. Locks of older versions have
	// none.
	Layer *int   `toml:"layer,omitempty"`
	Image string `toml:"image,omitempty"`
	DType string `toml:"dtype,omitempty"`
	// Files are the digests of the files in the checkpoint folder that the model needs, by
	// name. See [Entry.SetFiles].
	Files map[string]string `toml:"files,omitempty"`
	// AllFiles is set if Files has all files that can change the model's output. Older
	// versions recorded fewer, or none.
	AllFiles bool `toml:"all_files,omitempty"`
	// added are the names in Files that older versions did not record.
	added []string
}

// SetPlugin records the plugin of a model: the path of its folder or executable, and its
// present files.
func (e *Entry) SetPlugin(path string, now store.Snapshot) {
	unsigned := now.UnsignedPin()
	e.Plugin, e.PluginVersion, e.PluginDigest, e.PluginParts = path, unsigned.Version, unsigned.Digest, unsigned.Parts
	if now.Pin.Digest != unsigned.Digest {
		e.withSignature = now.Pin.Digest
	}
}

// Write replaces the lock file at path.
func Write(path string, l Lock) error {
	header := "# What this run used. Written by bridge; checked when the run is resumed.\n"
	if l.Vision.ID == "" {
		header = "# The pinned plugins of this project. Written by `bridge plugin lock`; checked whenever one is started.\n"
	}
	return stricttoml.WriteFile(path, header, l)
}

// Read reads a lock file.
func Read(path string) (Lock, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Lock{}, adapters.Errorf(adapters.NotFound, "cannot read the file: %w", err)
	}
	return Parse(path, data)
}

// Parse parses the text of a lock file. name is the file's name in messages.
func Parse(name string, data []byte) (Lock, error) {
	doc, err := stricttoml.Parse(name, data)
	if err != nil {
		return Lock{}, err
	}
	var l Lock
	doc.Decode(&l)
	for _, plugin := range slices.Sorted(maps.Keys(l.Plugins)) {
		if !store.ValidDigest(l.Plugins[plugin].Digest) {
			doc.Errorf("plugins."+plugin+".digest", "is %q, want a digest that `bridge plugin lock` wrote", l.Plugins[plugin].Digest)
		}
	}
	return l, doc.Err()
}

// ReadProject reads a project's lock file. If there is none, nothing is pinned.
func ReadProject(path string) (Lock, error) {
	l, err := Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Lock{}, nil
	}
	return l, err
}

// Check returns an error that names the differences between a lock and the present state.
func (l Lock) Check(now Lock) error {
	problems, remedies := l.Vision.differences("vision encoder", now.Vision)
	switch {
	case (l.Language == nil) != (now.Language == nil):
		problems = append(problems, "only one of the two has a language model")
		remedies = append(remedies, "use the models that "+Name+" names")
	case l.Language != nil:
		more, mend := l.Language.differences("language model", *now.Language)
		problems, remedies = append(problems, more...), append(remedies, mend...)
	}
	if len(problems) == 0 {
		return nil
	}
	remedy := strings.Join(append(remedies, "or start a new run with another --out"), ", ")
	for _, was := range []*Entry{&l.Vision, l.Language} {
		if was != nil && was.Revision != "" {
			remedy += fmt.Sprintf("; `bridge models pull %s --revision %s` fetches the old version of %s, `bridge models add %s --path DIR` with the folder that it prints restores it",
				shell.Path(was.ID), shell.Word(was.Revision), was.ID, shell.Path(was.ID))
		}
	}
	return adapters.Errorf(adapters.Invalid, "the run was made with other models or plugins: %s", strings.Join(problems, "; ")).WithRemedy("%s", remedy)
}

// CheckPresent is like [Lock.Check] for models that are not open: it does not compare what the
// present entries do not say. It also compares what the run started from.
func (l Lock) CheckPresent(now Lock) error {
	now.Vision = l.Vision.complete(now.Vision)
	if l.Language != nil && now.Language != nil {
		language := l.Language.complete(*now.Language)
		now.Language = &language
	}
	if err := l.Check(now); err != nil {
		return err
	}
	return l.CheckStart(now)
}

// complete returns the present entry of a model with what it does not say as it was.
func (e Entry) complete(now Entry) Entry {
	now.Digest, now.Family = cmp.Or(now.Digest, e.Digest), cmp.Or(now.Family, e.Family)
	now.Layer, now.Image, now.DType = cmp.Or(now.Layer, e.Layer), cmp.Or(now.Image, e.Image), cmp.Or(now.DType, e.DType)
	return now
}

// CheckStart returns an error if a run started from other weights than it would start from now.
// An entry without a digest is not compared.
func (l Lock) CheckStart(now Lock) error {
	if l.Start == now.Start || l.Start == "" || now.Start == "" {
		return nil
	}
	return adapters.Errorf(adapters.Invalid, "the weights that the run started from have changed: their digest was %q, is %q", l.Start, now.Start).
		WithRemedy("restore the bridge that the recipe's key from names, or start a new run with another --out")
}

// differences returns what has changed about a model, and how to restore it.
func (e Entry) differences(role string, now Entry) (found, remedies []string) {
	found = e.modelDifferences(role, now)
	if len(found) > 0 {
		remedies = append(remedies, fmt.Sprintf("restore the %s %s", role, e.ID))
	}
	if how := e.pluginDifferences(now); len(how) > 0 {
		found = append(found, role+": the plugin has changed: "+strings.Join(how, ", "))
		remedies = append(remedies, fmt.Sprintf("restore its plugin, %s", cmp.Or(now.Plugin, e.Plugin)))
	}
	return found, remedies
}

// pluginDifferences returns what has changed about a model's plugin.
func (e Entry) pluginDifferences(now Entry) []string {
	switch {
	case e.PluginDigest == now.PluginDigest, now.withSignature != "" && e.PluginDigest == now.withSignature:
		return nil
	case e.PluginDigest == "":
		return []string{"there was none, now it is " + now.Plugin}
	case now.PluginDigest == "":
		return []string{"it was " + e.Plugin + ", now there is none"}
	}
	return store.Pin{Version: e.PluginVersion, Digest: e.PluginDigest, Parts: e.PluginParts}.Differences(
		store.Pin{Version: now.PluginVersion, Digest: now.PluginDigest, Parts: now.PluginParts})
}

// modelDifferences returns what has changed about a model, except its plugin.
func (e Entry) modelDifferences(role string, now Entry) []string {
	var found []string
	for _, f := range []struct {
		name, was, is string
		skip          bool // an older version did not record it
	}{
		{"id", e.ID, now.ID, false}, {"weights", e.Digest, now.Digest, false}, {"adapter family", e.Family, now.Family, false},
		{"activation", e.Activation, now.Activation, false},
		{"layer", layerText(e.Layer), layerText(now.Layer), e.Layer == nil}, {"picture size", e.Image, now.Image, e.Image == ""},
		{"dtype", e.DType, now.DType, e.DType == ""},
	} {
		if f.was != f.is && !f.skip {
			found = append(found, fmt.Sprintf("%s: %s was %q, is %q", role, f.name, f.was, f.is))
		}
	}
	for _, name := range e.ChangedFiles(now) {
		was, had := e.Files[name]
		is, has := now.Files[name]
		switch {
		case !has:
			found = append(found, fmt.Sprintf("%s: %s was %q, and does not exist now", role, name, was))
		case had:
			found = append(found, fmt.Sprintf("%s: %s was %q, is %q", role, name, was, is))
		default:
			found = append(found, fmt.Sprintf("%s: %s did not exist, is %q", role, name, is))
		}
	}
	return found
}

func layerText(layer *int) string {
	if layer == nil {
		return ""
	}
	return strconv.Itoa(*layer)
}
