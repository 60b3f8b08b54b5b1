package lockfile

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
)

// This file compares the files that a model's output depends on.

// SetFiles records the digests of a model's files, by name. older reports whether older
// versions recorded a file too: a lock of such a version does not say whether the others
// existed.
func (e *Entry) SetFiles(digests map[string]string, older func(name string) bool) {
	e.Files, e.AllFiles, e.added = digests, true, nil
	for name := range digests {
		if !older(name) {
			e.added = append(e.added, name)
		}
	}
}

// ChangedFiles returns the names of the files that were changed, added or removed since the
// entry was recorded, sorted. Files of which the entry says nothing are not among them.
func (e Entry) ChangedFiles(now Entry) []string {
	if e.Files == nil && !e.AllFiles {
		return nil
	}
	var changed []string
	for name, was := range e.Files {
		if now.Files[name] != was {
			changed = append(changed, name)
		}
	}
	for name := range now.Files {
		if _, had := e.Files[name]; !had && (e.AllFiles || !slices.Contains(now.added, name)) {
			changed = append(changed, name)
		}
	}
	slices.Sort(changed)
	return changed
}

// Key returns "sha256:…" over everything in the entry that can change the model's output and
// that the model's spec does not say: the family, the activation, the plugin and the files for
// which relevant returns true.
func (e Entry) Key(relevant func(file string) bool) string {
	files := map[string]string{}
	for name, digest := range e.Files {
		if relevant(name) {
			files[name] = digest
		}
	}
	data, _ := json.Marshal([]any{e.Family, e.Activation, e.PluginDigest, e.PluginVersion, files}) // text only: cannot fail
	return fmt.Sprintf("sha256:%x", sha256.Sum256(data))
}
