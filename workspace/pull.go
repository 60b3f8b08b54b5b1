package workspace

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/hub"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/tokenizer"
)

// PullOptions say which files of a model are downloaded.
type PullOptions struct {
	Revision string    // branch, tag or commit; empty: the manifest's
	Files    []string  // patterns of file names; empty: the manifest's
	Output   io.Writer // receives progress for people; nil discards it
}

// Pulled describes a model that was downloaded.
type Pulled struct {
	ID         string // registry id, or the repository if it has none
	Repository string
	Revision   string
	Commit     string
	Dir        string // folder with the files
	// Other is the model that the id still stands for, if that is another folder.
	Other *registry.Backbone
}

// Pull downloads a model from the Hugging Face hub. id is a registry id or a repository
// OWNER/NAME. Files that the hub's cache holds are not downloaded again.
func (w *Workspace) Pull(ctx context.Context, id string, o PullOptions) (Pulled, error) {
	m, err := w.pullManifest(id)
	if err != nil {
		return Pulled{}, err
	}
	m.Revision = cmp.Or(o.Revision, m.Revision)
	if len(o.Files) > 0 {
		m.Files = o.Files
	}
	if o.Output == nil {
		o.Output = io.Discard
	}
	s, err := w.download(ctx, m, o.Output)
	pulled := Pulled{ID: m.ID, Repository: m.Repository, Revision: s.Revision, Commit: s.Commit, Dir: s.Dir}
	if err == nil {
		pulled.Other = w.otherFolder(pulled)
	}
	return pulled, err
}

// otherFolder returns the model that the registry opens by the id of a downloaded one, if it is
// in another folder than the download.
func (w *Workspace) otherFolder(pulled Pulled) *registry.Backbone {
	reg, err := w.Registry()
	if err != nil {
		return nil
	}
	now, err := reg.Lookup(pulled.ID)
	if err != nil || now.Path == pulled.Dir || now.Manifest.Repository != pulled.Repository {
		return nil
	}
	return &now
}

// pullManifest returns the manifest of the model to download. A repository that the registry
// does not know has a manifest with nothing but its name.
func (w *Workspace) pullManifest(id string) (registry.Manifest, error) {
	reg, err := w.Registry()
	if err != nil {
		return registry.Manifest{}, err
	}
	b, err := reg.Lookup(id)
	switch {
	case err != nil && strings.Count(id, "/") == 1 && !isDir(id):
		return registry.Manifest{ID: id, Repository: id}, nil
	case err != nil:
		return registry.Manifest{}, err
	case b.Source == registry.FromFolder:
		return registry.Manifest{}, adapters.Errorf(adapters.Invalid, "%s is a folder, want a registry id or OWNER/NAME", id)
	case b.Repository == "":
		return registry.Manifest{}, adapters.Errorf(adapters.Unsupported, "%s is built into the kit and cannot be downloaded", id)
	}
	return b.Manifest, nil
}

// slowAnswer is how long the hub may take to answer before the user is told.
const slowAnswer = 2 * time.Second

// download downloads the files of a manifest and writes progress to out.
func (w *Workspace) download(ctx context.Context, m registry.Manifest, out io.Writer) (hub.Snapshot, error) {
	client, progress := hub.FromEnvironment(), newDownloadProgress(out)
	defer progress.end()
	answered := notifyIfSlow(out, slowAnswer, fmt.Sprintf("waiting for %s to answer", cmp.Or(client.Endpoint, hub.DefaultEndpoint)))
	defer answered()
	return client.Pull(ctx, hub.Request{
		Repository: m.Repository, Revision: m.Revision, Patterns: m.Patterns(), Progress: progress.step,
		Planned: func(plan hub.Plan) {
			answered()
			w.printPlan(out, m, plan)
		},
	})
}

// printPlan prints what is about to be downloaded.
func (w *Workspace) printPlan(out io.Writer, m registry.Manifest, plan hub.Plan) {
	fmt.Fprintf(out, "%s at %s (%.12s): %d files of %s, %s to download\n", plan.Repository, plan.Revision, plan.Commit, len(plan.Files),
		registry.Size(plan.Total), registry.Size(plan.Missing))
	if plan.Revision != m.Revision && strings.HasPrefix(plan.Revision, "refs/pr/") {
		fmt.Fprintf(out, "the repository has no safetensors: bridge downloads those of %s, which the hub's conversion service made\n",
			plan.Revision)
	}
	if m.Kind == adapters.KindLanguage && !w.hasTokenizer(plan.Files, m.Family) {
		fmt.Fprintf(out, "%s has no tokenizer.json, and the model does not open without it; "+
			"after the download, write it with transformers: AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)\n", plan.Repository)
	}
}

// hasTokenizer reports whether bridge can read the tokenizer of a family from files.
func (w *Workspace) hasTokenizer(files []hub.File, family string) bool {
	var names []string
	for _, f := range files {
		names = append(names, f.Path)
	}
	var defaults adapters.TokenizerDefaults
	for _, f := range w.families() {
		if f.Name == family {
			defaults = f.TokenizerFor("")
		}
	}
	return tokenizer.Readable(names, defaults)
}

// notifyIfSlow writes a message if done is not called in time. After done it writes nothing.
func notifyIfSlow(out io.Writer, after time.Duration, message string) (done func()) {
	var mu sync.Mutex
	over := false
	timer := time.AfterFunc(after, func() {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			fmt.Fprintln(out, message)
		}
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		over = true
		timer.Stop()
	}
}
