package workspace

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/shell"
	"github.com/modular-bridging/bridge/plugins/lockfile"
	"github.com/modular-bridging/bridge/plugins/release"
	"github.com/modular-bridging/bridge/plugins/store"
	"github.com/modular-bridging/bridge/plugins/trust"
)

// PluginStatus describes a plugin: its manifest, its pin and its signature.
type PluginStatus struct {
	Name         string                `json:"name"`
	Version      string                `json:"version,omitempty"`
	Kind         adapters.ModelKind    `json:"kind,omitempty"`
	Families     []string              `json:"families,omitempty"`
	Protocol     []int                 `json:"protocol,omitempty"`
	Capabilities []adapters.Capability `json:"capabilities,omitempty"`
	Place        store.Place           `json:"place"`
	Dir          string                `json:"dir,omitempty"`
	Program      string                `json:"program,omitempty"`
	Shadows      string                `json:"shadows,omitempty"`
	Pinned       bool                  `json:"pinned"`              // the lock file pins it
	AsPinned     bool                  `json:"as_pinned,omitempty"` // it matches its pin
	Signed       bool                  `json:"signed"`              // its signature matches, and the user trusts the key
	Environment  []string              `json:"environment,omitempty"`
	Network      bool                  `json:"network"`
	Description  string                `json:"description,omitempty"`
	License      string                `json:"license,omitempty"`
	Homepage     string                `json:"homepage,omitempty"`
	PublicKey    string                `json:"public_key,omitempty"`
	Signature    string                `json:"signature,omitempty"` // text: who signed it, and whether the signature matches
	Digest       string                `json:"digest,omitempty"`    // empty if its files were not read
	Problem      string                `json:"problem,omitempty"`   // why it would not start, or why its manifest cannot be read

	Allowed []string `json:"-"` // variables that it may see, in addition to those of all plugins
	Denied  []string `json:"-"` // variables that it requests but may not see
}

// statusOf returns the status of a plugin from its manifest and the lock file, without reading
// its other files.
func statusOf(found store.Plugin, lock lockfile.Lock, policy trust.Policy) PluginStatus {
	m := found.Manifest
	_, pinned := lock.Plugins[found.Name]
	return PluginStatus{
		Name: found.Name, Version: m.Version, Kind: m.Kind, Families: m.Families, Protocol: m.Protocol, Capabilities: m.Capabilities,
		Place: found.Place, Dir: found.Dir, Program: found.Program, Shadows: found.Shadows, Pinned: pinned,
		Environment: m.Environment, Network: m.Network, Description: m.Description, License: m.License,
		Homepage: m.Homepage, PublicKey: m.PublicKey, Allowed: policy.AllowedVariables(found), Denied: policy.MissingVariables(found),
	}
}

// examine reads a plugin's files and reports whether it would start.
func (s *PluginStatus) examine(found store.Plugin, policy trust.Policy) {
	v, err := examinePlugin(found, policy)
	s.AsPinned, s.Digest = v.Locked, v.Pin.Digest
	if err != nil {
		s.Problem = err.Error()
	}
	if v.Pin.Digest == "" { // its files could not be read
		s.Signature = "not checked"
		return
	}
	signer, broken := release.Check(v.Snapshot, policy.PublicKeys())
	s.Signed, s.Signature = broken == nil && signer.Name != "", signer.String()
	if broken != nil {
		s.Signature = "INVALID: " + broken.Error()
	}
}

// examinePlugin reports whether a plugin would start, without starting it.
func examinePlugin(found store.Plugin, policy trust.Policy) (trust.Verdict, error) {
	v, err := checkPlugin(found, policy)
	if err == nil {
		err = found.CheckBuilt()
	}
	if err == nil {
		_, err = policy.Confined(found)
	}
	return v, err
}

// checkPlugin compares a plugin's files with its pin and its signature. The files that its build
// makes may be missing. It logs nothing about plugins that are not locked.
func checkPlugin(found store.Plugin, policy trust.Policy) (trust.Verdict, error) {
	policy.Log = nil
	return trust.NewGuard(found, policy).Check()
}

// lockAndPolicy reads the project's lock file and the user's policy.
func (w *Workspace) lockAndPolicy() (lockfile.Lock, trust.Policy, error) {
	lock, err := lockfile.ReadProject(lockfile.Name)
	if err != nil {
		return lock, trust.Policy{}, err
	}
	policy, err := w.Policy(PluginConstraints{})
	return lock, policy, err
}

// Plugins returns the plugins of the project and of the user, without running them. If a
// manifest cannot be read, the plugin's Problem says why. Plugins reads the files of pinned and
// signed plugins, or of all plugins if all is true.
func (w *Workspace) Plugins(all bool) ([]PluginStatus, error) {
	found, broken, err := store.Default().List()
	if err != nil {
		return nil, err
	}
	lock, policy, err := w.lockAndPolicy()
	if err != nil {
		return nil, err
	}
	var list []PluginStatus
	for _, f := range found {
		s := statusOf(f, lock, policy)
		if all || s.Pinned || f.Signed() {
			s.examine(f, policy)
		}
		list = append(list, s)
	}
	for _, b := range broken {
		list = append(list, PluginStatus{Name: b.Name, Place: b.Place, Dir: b.Dir, Problem: b.Err.Error()})
	}
	return list, nil
}

// Plugin returns a plugin by name or path. It reads the plugin's files and does not run it.
func (w *Workspace) Plugin(name string) (PluginStatus, error) {
	found, err := store.Default().Find(name)
	if err != nil {
		return PluginStatus{}, err
	}
	lock, policy, err := w.lockAndPolicy()
	if err != nil {
		return PluginStatus{}, err
	}
	s := statusOf(found, lock, policy)
	s.examine(found, policy)
	return s, nil
}

// AddPlugin copies a built plugin, a folder or an executable, into the project's or the user's
// folder, and returns who signed it. If name is empty, the plugin keeps its own name.
func (w *Workspace) AddPlugin(path, name string, to store.Place) (store.Added, release.Signer, error) {
	policy, err := w.Policy(PluginConstraints{})
	if err != nil {
		return store.Added{}, release.Signer{}, err
	}
	var signer release.Signer
	added, err := store.Default().Add(path, name, to, func(now store.Snapshot) (err error) {
		signer, err = trust.Signer(now, policy)
		return err
	})
	return added, signer, err
}

// RemovePlugin deletes a plugin's folder and its pin. If from is empty, the plugin may be in
// either place.
func (w *Workspace) RemovePlugin(name string, from store.Place) (dir string, err error) {
	if dir, err = store.Default().Remove(name, from); err != nil {
		return "", err
	}
	lock, err := lockfile.ReadProject(lockfile.Name)
	if _, pinned := lock.Plugins[name]; err != nil || !pinned {
		return dir, err
	}
	if _, err := store.Default().Find(name); err == nil {
		return dir, nil // another plugin of this name is left, and the pin applies to it
	}
	delete(lock.Plugins, name)
	return dir, lockfile.Write(lockfile.Name, lock)
}

// PluginPin is the outcome of [Workspace.LockPlugins] for one plugin.
type PluginPin struct {
	Name    string
	Digest  string
	New     bool     // it was not pinned before
	Changes []string // differences from the old pin
	Left    []string // paths in its folder that are not part of the plugin
}

// LockPlugins pins plugins, by name or path, in the project's lock file. Without names it pins
// all plugins. After an error the lock file is unchanged.
func (w *Workspace) LockPlugins(names []string) ([]PluginPin, error) {
	found, err := pluginsNamed(names)
	if err != nil {
		return nil, err
	}
	lock, policy, err := w.lockAndPolicy()
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, adapters.Errorf(adapters.NotFound, "no plugins to pin").
			WithRemedy("pass the path of a plugin, or add one: bridge plugin add PATH")
	}
	if lock.Plugins == nil {
		lock.Plugins = map[string]store.Pin{}
	}
	var pins []PluginPin
	for _, f := range found {
		now, err := trust.Lock(f, policy)
		if err != nil {
			return pins, err
		}
		before, pinned := lock.Plugins[f.Name]
		pin := PluginPin{Name: f.Name, Digest: now.Pin.Digest, New: !pinned, Left: now.Excluded}
		if pinned {
			pin.Changes = before.Differences(now.Pin)
		}
		pins = append(pins, pin)
		lock.Plugins[f.Name] = now.Pin
	}
	return pins, lockfile.Write(lockfile.Name, lock)
}

// CheckPins returns the names of the plugins that match their pins. The error lists the plugins
// that do not. Without names, CheckPins checks all plugins, and the error also lists pinned
// plugins that are missing.
func (w *Workspace) CheckPins(names []string) (asPinned []string, err error) {
	found, err := pluginsNamed(names)
	if err != nil {
		return nil, err
	}
	lock, err := lockfile.ReadProject(lockfile.Name)
	if err != nil {
		return nil, err
	}
	policy, err := w.Policy(PluginConstraints{Locked: true})
	if err != nil {
		return nil, err
	}
	var problems []error
	missing := maps.Clone(lock.Plugins)
	for _, f := range found {
		delete(missing, f.Name)
		if _, err := examinePlugin(f, policy); err != nil {
			problems = append(problems, err)
			continue
		}
		asPinned = append(asPinned, f.Name)
	}
	if len(names) == 0 {
		for _, name := range slices.Sorted(maps.Keys(missing)) {
			problems = append(problems, adapters.Errorf(adapters.NotFound,
				"plugin %s is pinned, but it is not in %s or in the user's folder",
				name, filepath.Clean(store.Default().Project)).
				WithRemedy("put it back, or pass its path; to delete the pin: bridge plugin remove %s", shell.Word(name)))
		}
	}
	return asPinned, errors.Join(problems...)
}

// pluginsNamed finds plugins by names and paths. Without names it finds all.
func pluginsNamed(names []string) ([]store.Plugin, error) {
	if len(names) == 0 {
		found, broken, err := store.Default().List()
		for _, b := range broken {
			err = errors.Join(err, fmt.Errorf("%s: %w", b.Dir, b.Err))
		}
		return found, err
	}
	var found []store.Plugin
	for _, name := range names {
		f, err := store.Default().Find(name)
		if err != nil {
			return nil, err
		}
		found = append(found, f)
	}
	return found, nil
}
