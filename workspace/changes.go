package workspace

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/plugins/lockfile"
)

// This file compares the frozen models that are open with those that a bridge was trained with.

// Changes describes what has changed about a frozen model since a bridge was trained, except its
// weights and its plugin: names of files, and settings with their values. now is the model's
// present entry. Changes is empty if the bridge does not record these, as older versions do not.
func Changes(trained bridge.Side, now lockfile.Entry) []string {
	was := lockfile.Entry{Files: trained.Files, AllFiles: trained.AllFiles}
	if trained.Plugin == "" && now.Plugin != "" { // a plugin may read more files than were recorded
		was.AllFiles = false
	}
	changed := slices.DeleteFunc(was.ChangedFiles(now), func(name string) bool {
		// The spec's digest has the weights of built-in adapters.
		return now.Plugin == "" && (path.Ext(name) == ".safetensors" || strings.HasSuffix(name, ".safetensors.index.json"))
	})
	if trained.AllFiles && trained.Activation != now.Activation {
		changed = append(changed, fmt.Sprintf("activation (was %q, is %q)", trained.Activation, now.Activation))
	}
	return changed
}

// WarnChanges warns if a frozen model has changed since a bridge was trained with it. The
// warning names the files. Other weights and another plugin have warnings of their own.
func (w *Workspace) WarnChanges(kind adapters.ModelKind, trained bridge.Side, now lockfile.Entry) {
	changed := Changes(trained, now)
	if len(changed) == 0 {
		return
	}
	w.log.Warn("the "+roleOf(kind)+" has changed since the bridge was trained",
		"model", now.ID, "changed", strings.Join(changed, ", "), "remedy", "restore it if the results have changed, or train again")
}

func roleOf(kind adapters.ModelKind) string { return strings.ReplaceAll(string(kind), "-", " ") }

// WarnSideChanges is [Workspace.WarnChanges] for a model that was opened as s says.
// If its files cannot be read, the log says so.
func (w *Workspace) WarnSideChanges(s OpenSpec, kind adapters.ModelKind, trained bridge.Side) {
	if trained.Files == nil && !trained.AllFiles {
		return
	}
	now, err := s.Model.FilesEntry(s.Plugin)
	if err != nil {
		w.log.Warn("whether the "+roleOf(kind)+" has changed since the bridge was trained is not known", "model", trained.ID, "error", err)
		return
	}
	w.WarnChanges(kind, trained, now)
}
