package workspace

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/lockfile"
	"github.com/modular-bridging/bridge/plugins/release"
	"github.com/modular-bridging/bridge/plugins/store"
	"github.com/modular-bridging/bridge/plugins/trust"
)

// PluginStatus describes a plugin as its manifest, the lock file and its signature do.
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
	Pinned       bool                  `json:"pinned"`              // the lock file has it
	AsPinned     bool                  `json:"as_pinned,omitempty"` // and it still matches
	Signed       bool                  `json:"signed"`              // a signature by a key that the user trusts matches
	Environment  []string              `json:"environment,omitempty"`
	Network      bool                  `json:"network"`
	Description  string                `json:"description,omitempty"`
	License      string                `json:"license,omitempty"`
	Homepage     string                `json:"homepage,omitempty"`
	PublicKey    string                `json:"public_key,omitempty"`
	Signature    string                `json:"signature,omitempty"` // in words: who signed it, and whether that matches
	Digest       string                `json:"digest,omitempty"`    // if its files were read
	Problem      string                `json:"problem,omitempty"`   // why it would not start, or its manifest cannot be read

	Allowed []string `json:"-"` // variables that it may see beside those that all plugins see
	Wanted  []string `json:"-"` // variables that it asks for and may not see
}

// statusOf returns what a plugin's manifest and the lock file say, without reading its
// other files.
func statusOf(found store.Plugin, lock lockfile.Lock, policy trust.Policy) PluginStatus {
	m := found.Manifest
	_, pinned := lock.Plugins[found.Name]
	return PluginStatus{Name: found.Name, Version: m.Version, Kind: m.Kind, Families: m.Families, Protocol: m.Protocol, Capabilities: m.Capabilities,
		Place: found.Place, Dir: found.Dir, Program: found.Program, Shadows: found.Shadows, Pinned: pinned,
		Environment: m.Environment, Network: m.Network, Description: m.Description, License: m.License, Homepage: m.Homepage, PublicKey: m.PublicKey,
		Allowed: policy.AllowedVariables(found), Wanted: policy.MissingVariables(found)}
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

// checkPlugin compares a plugin's files with lock and signature. What its build makes
// need not be there. Nothing is logged about plugins that are not locked.
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

// Plugins returns the plugins of the project and of the user, and those whose manifest
// cannot be read, with the problem. None is run. The files of plugins that are pinned or
// signed are read, and of all plugins if all is true.
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

// Plugin returns one plugin, by name or path. Its files are read; it is not run.
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

// AddPlugin copies a built plugin, a folder or an executable, into the project or the
// user's folder, and returns who signed it. An empty name keeps the plugin's own.
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

// RemovePlugin deletes a plugin's folder and its pin. An empty place is that in which the
// plugin is.
func (w *Workspace) RemovePlugin(name string, from store.Place) (dir string, err error) {
	if dir, err = store.Default().Remove(name, from); err != nil {
		return "", err
	}
	lock, err := lockfile.ReadProject(lockfile.Name)
	if _, pinned := lock.Plugins[name]; err != nil || !pinned {
		return dir, err
	}
	if _, err := store.Default().Find(name); err == nil {
		return dir, nil // another plugin of that name is left, and has to be as pinned
	}
	delete(lock.Plugins, name)
	return dir, lockfile.Write(lockfile.Name, lock)
}

// PluginPin is the outcome of [Workspace.LockPlugins] for one plugin.
type PluginPin struct {
	Name    string
	Digest  string
	New     bool     // it was not pinned
	Changes []string // since it was pinned
	Left    []string // what in its folder is not part of it
}

// LockPlugins pins plugins, by name or path, as they are in the project's lock file.
// Without names it pins all. On an error nothing is written.
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
		return nil, adapters.Errorf(adapters.NotFound, "there are no plugins to pin").WithRemedy("name one by its path, or add one: bridge plugin add PATH")
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

// CheckPins returns the names of the plugins that are as pinned. The error names those
// that are not, and, if no names are given, those that are pinned and missing.
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
			problems = append(problems, adapters.Errorf(adapters.NotFound, "plugin %s is pinned, and not in %s or the user's", name, filepath.Clean(store.Default().Project)).
				WithRemedy("put it back, or name its path to check it; bridge plugin remove %s ends the pin", name))
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
