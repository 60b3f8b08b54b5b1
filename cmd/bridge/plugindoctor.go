package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/modular-bridging/bridge/internal/sandbox"
	"github.com/modular-bridging/bridge/plugins/store"
	"github.com/modular-bridging/bridge/plugins/trust"
	"github.com/modular-bridging/bridge/registry"
)

// examinePlugins says which third-party plugins there are, where they come from,
// whether they would start, and what they may see. None is run.
func (p *program) examinePlugins() []finding {
	all := []finding{{Name: "plugins", Value: pluginFolders(store.Default())}}
	policy, err := p.policy(wishes{})
	if err != nil {
		all[0].Warning = err.Error()
		return all
	}
	found, broken, err := store.Default().List()
	if err != nil {
		all[0].Warning = err.Error()
	}
	for _, f := range found {
		all = append(all, examineOne(f, policy))
	}
	for _, b := range broken {
		all = append(all, finding{Name: "plugin", Value: fmt.Sprintf("%q, in %s", b.Name, b.Dir), Warning: briefly(b.Err.Error())})
	}
	confinement := finding{Name: "sandbox", Value: "this system has what it takes; --sandbox on uses it"}
	if err := sandbox.Supported(); err != nil {
		confinement.Value = "none: " + err.Error()
	}
	return append(all, confinement, finding{Name: "trust", Value: trustWords(policy)})
}

func pluginFolders(f store.Folders) string {
	folders := []string{f.Project}
	if abs, err := filepath.Abs(f.Project); err == nil {
		folders[0] = abs
	}
	if f.User != "" {
		folders = append(folders, f.User)
	}
	return "in " + strings.Join(folders, " and ")
}

func examineOne(f store.Plugin, policy trust.Policy) finding {
	v, err := examinePlugin(f, policy)
	facts := []string{fmt.Sprintf("%s %s, a %s of the %s, in %s", f.Name, f.Manifest.Version, f.Manifest.Kind, f.Place, f.Dir)}
	found := finding{Name: "plugin"}
	if err != nil {
		found.Warning = "it would not start: " + err.Error()
	} else {
		lock, signer := "not locked", "signed by "+v.Signer.String()
		if v.Locked {
			lock = "as locked"
		}
		facts = append(facts, lock, signer)
	}
	if f.Shadows != "" {
		facts = append(facts, "not the user's of this name")
	}
	sees := "sees what every plugin sees"
	if allowed := policy.AllowedVariables(f); len(allowed) > 0 {
		sees += " and " + strings.Join(allowed, ", ")
	}
	if wanted := policy.MissingVariables(f); len(wanted) > 0 {
		sees += ", asks for " + strings.Join(wanted, ", ")
	}
	if f.Manifest.Network {
		sees += ", needs the network"
	}
	found.Value = strings.Join(append(facts, sees), "; ")
	return found
}

// trustWords says what the user has decided.
func trustWords(p trust.Policy) string {
	words := []string{"sandbox " + string(trust.SandboxNone)}
	if p.Sandbox != "" {
		words[0] = "sandbox " + string(p.Sandbox)
	}
	if p.Locked {
		words = append(words, "only locked plugins start")
	}
	if p.RequireSigned {
		words = append(words, "only signed plugins start")
	}
	words = append(words, fmt.Sprintf("%d trusted keys", len(p.PublicKeys())))
	return strings.Join(words, "; ") + " (" + filepath.Join(registry.ConfigDir(), trust.SettingsFile) + ")"
}
