package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// LockFile is the name of the lock in a run folder.
const LockFile = "bridge.lock"

// Lock records what a run used, so that resuming it uses the same.
type Lock struct {
	Vision   LockEntry  `toml:"vision"`
	Language *LockEntry `toml:"language"` // nil in stage 1
}

// LockEntry is one frozen model of a run.
type LockEntry struct {
	ID           string `toml:"id"`
	Source       Source `toml:"source"`                  // where the weights were
	Digest       string `toml:"digest"`                  // of the weights, "sha256:…"
	Family       string `toml:"family"`                  // of the adapter
	Plugin       string `toml:"plugin,omitempty"`        // executable of a third-party adapter
	PluginDigest string `toml:"plugin_digest,omitempty"` // of that executable
}

// Entry returns the lock entry of an open model. plugin is the executable
// behind it, empty for a built-in adapter.
func (b Backbone) Entry(spec adapters.Spec, plugin string) (LockEntry, error) {
	e := LockEntry{ID: b.ID, Source: b.Source, Digest: spec.Digest, Family: spec.Family, Plugin: plugin}
	if plugin == "" {
		return e, nil
	}
	var err error
	e.PluginDigest, err = fileDigest(plugin)
	return e, err
}

// WriteLock replaces the lock file at path.
func WriteLock(path string, l Lock) error {
	return writeTOML(path, "# What this run used. Written by bridge; checked when the run is resumed.\n", l)
}

// ReadLock reads a lock file.
func ReadLock(path string) (Lock, error) {
	var l Lock
	err := decodeTOML(path, &l)
	return l, err
}

// Check returns an error that names what is no longer as it was locked.
func (l Lock) Check(now Lock) error {
	problems := l.Vision.differences("vision encoder", now.Vision)
	switch {
	case (l.Language == nil) != (now.Language == nil):
		problems = append(problems, "one of the two has a language model, the other has none")
	case l.Language != nil:
		problems = append(problems, l.Language.differences("language model", *now.Language)...)
	}
	if len(problems) == 0 {
		return nil
	}
	return adapters.Errorf(adapters.Invalid, "the run was made with something else: %s", strings.Join(problems, "; ")).
		WithRemedy("put back what %s names, or start a new run", LockFile)
}

func (e LockEntry) differences(role string, now LockEntry) []string {
	var found []string
	for _, f := range []struct{ name, was, is string }{
		{"id", e.ID, now.ID}, {"weights", e.Digest, now.Digest}, {"adapter family", e.Family, now.Family},
		{"plugin", e.PluginDigest, now.PluginDigest},
	} {
		if f.was != f.is {
			found = append(found, fmt.Sprintf("%s: %s was %q, is %q", role, f.name, f.was, f.is))
		}
	}
	return found
}

func fileDigest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", adapters.Errorf(adapters.NotFound, "plugin cannot be read: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", fmt.Errorf("digest of %s: %w", path, err)
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil)), nil
}
