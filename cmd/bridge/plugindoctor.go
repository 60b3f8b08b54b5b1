package main

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/modular-bridging/bridge/internal/sandbox"
	"github.com/modular-bridging/bridge/plugins/store"
	"github.com/modular-bridging/bridge/plugins/trust"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/workspace"
)

// pluginFindings lists the third-party plugins: where they come from, whether they would
// start, and which variables they may see. It runs none of them.
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
	support := finding{Name: "sandbox", Value: "supported by this system; --sandbox on uses it"}
	if err := sandbox.Supported(); err != nil {
		support.Value = "none: " + err.Error()
	}
	return append(all, support, finding{Name: "trust", Value: trustSummary(policy)})
}

// pluginFolders returns where plugins are stored.
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

// pluginFinding describes a plugin.
func pluginFinding(s workspace.PluginStatus) finding {
	if s.Program == "" { // its manifest cannot be read
		return finding{Name: "plugin", Value: fmt.Sprintf("%q, in %s", s.Name, s.Dir), Warning: firstLine(s.Problem)}
	}
	found := finding{Name: "plugin"}
	details := []string{fmt.Sprintf("%s %s, a %s of the %s, in %s", s.Name, s.Version, s.Kind, s.Place, s.Dir)}
	if s.Problem != "" {
		found.Warning = "it would not start: " + s.Problem
	} else {
		lock := "not locked"
		if s.AsPinned {
			lock = "as locked"
		}
		details = append(details, lock, "signed by "+s.Signature)
	}
	if s.Shadows != "" {
		details = append(details, "used instead of the user's plugin of this name")
	}
	variables := "sees the variables that every plugin sees"
	if len(s.Allowed) > 0 {
		variables += " and " + strings.Join(s.Allowed, ", ")
	}
	if len(s.Denied) > 0 {
		variables += ", requests " + strings.Join(s.Denied, ", ")
	}
	if s.Network {
		variables += ", needs the network"
	}
	found.Value = strings.Join(append(details, variables), "; ")
	return found
}

// trustSummary describes the user's trust settings.
func trustSummary(p trust.Policy) string {
	settings := []string{"sandbox " + string(cmp.Or(p.Sandbox, trust.SandboxNone))}
	if p.Locked {
		settings = append(settings, "only locked plugins start")
	}
	if p.RequireSigned {
		settings = append(settings, "only signed plugins start")
	}
	settings = append(settings, fmt.Sprintf("%d trusted keys", len(p.PublicKeys())))
	return strings.Join(settings, "; ") + " (" + filepath.Join(registry.ConfigDir(), trust.SettingsFile) + ")"
}
