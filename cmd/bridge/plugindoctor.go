package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/modular-bridging/bridge/internal/sandbox"
	"github.com/modular-bridging/bridge/plugins/store"
	"github.com/modular-bridging/bridge/plugins/trust"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/workspace"
)

// pluginFindings reports which third-party plugins there are, where they come from, whether
// they would start, and what they may see. None is run.
func (p *program) pluginFindings() []finding {
	all := []finding{{Name: "plugins", Value: pluginFolders(store.Default())}}
	policy, err := p.workspace.Policy(workspace.PluginConstraints{})
	if err != nil {
		all[0].Warning = err.Error()
		return all
	}
	found, err := p.workspace.Plugins(true)
	if err != nil {
		all[0].Warning = err.Error()
	}
	for _, s := range found {
		all = append(all, pluginFinding(s))
	}
	confinement := finding{Name: "sandbox", Value: "this system supports it; --sandbox on uses it"}
	if err := sandbox.Supported(); err != nil {
		confinement.Value = "none: " + err.Error()
	}
	return append(all, confinement, finding{Name: "trust", Value: trustSummary(policy)})
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

func pluginFinding(s workspace.PluginStatus) finding {
	if s.Program == "" { // its manifest cannot be read
		return finding{Name: "plugin", Value: fmt.Sprintf("%q, in %s", s.Name, s.Dir), Warning: firstLine(s.Problem)}
	}
	found := finding{Name: "plugin"}
	facts := []string{fmt.Sprintf("%s %s, a %s of the %s, in %s", s.Name, s.Version, s.Kind, s.Place, s.Dir)}
	if s.Problem != "" {
		found.Warning = "it would not start: " + s.Problem
	} else {
		lock := "not locked"
		if s.AsPinned {
			lock = "as locked"
		}
		facts = append(facts, lock, "signed by "+s.Signature)
	}
	if s.Shadows != "" {
		facts = append(facts, "not the user's of this name")
	}
	sees := "sees what every plugin sees"
	if len(s.Allowed) > 0 {
		sees += " and " + strings.Join(s.Allowed, ", ")
	}
	if len(s.Wanted) > 0 {
		sees += ", asks for " + strings.Join(s.Wanted, ", ")
	}
	if s.Network {
		sees += ", needs the network"
	}
	found.Value = strings.Join(append(facts, sees), "; ")
	return found
}

// trustSummary describes the user's settings.
func trustSummary(p trust.Policy) string {
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
