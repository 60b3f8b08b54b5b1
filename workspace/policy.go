package workspace

import (
	"cmp"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/plugins/host"
	"github.com/modular-bridging/bridge/plugins/lockfile"
	"github.com/modular-bridging/bridge/plugins/store"
	"github.com/modular-bridging/bridge/plugins/trust"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
)

// PluginConstraints are requirements on a plugin that come from a recipe, in addition to the
// user's settings.
type PluginConstraints struct {
	Locked      bool
	Sandbox     trust.Sandbox
	Environment []string      // variables that the plugin may see, in addition to those of all plugins
	Trained     trust.Trained // the plugin in training; zero if unknown
}

// constraintsOf returns the constraints in a recipe's table.
func constraintsOf(b recipes.Backbone) PluginConstraints {
	return PluginConstraints{Locked: b.Locked, Sandbox: trust.Sandbox(b.Sandbox), Environment: b.Environment}
}

// Policy combines the requirements on a plugin: the user's settings, the workspace's settings
// and the constraints. Each can add requirements. Only the workspace's settings can turn the
// sandbox off.
func (w *Workspace) Policy(c PluginConstraints) (trust.Policy, error) {
	settings, err := trust.ReadSettings(registry.ConfigDir())
	if err != nil {
		return trust.Policy{}, err
	}
	own := w.options.Trust
	settings.Locked = settings.Locked || own.Locked || c.Locked
	settings.RequireSigned = settings.RequireSigned || own.RequireSigned
	switch {
	case own.Sandbox != "":
		settings.Sandbox = own.Sandbox
	case c.Sandbox == trust.SandboxOn:
		settings.Sandbox = trust.SandboxOn
	}
	return trust.Policy{Settings: settings, LockFile: lockfile.Name, Environment: c.Environment, Trained: c.Trained, Log: w.log}, nil
}

// guard completes the configuration of a plugin that will load a model. The plugin is checked
// before each start, and gets only the environment variables that the policy allows.
func (w *Workspace) guard(cfg *host.Config, found store.Plugin, c PluginConstraints) error {
	policy, err := w.Policy(c)
	if err != nil {
		return err
	}
	policy.Checkpoint = cfg.Load.Checkpoint
	if err := checkStartable(found, policy); err != nil {
		return err
	}
	if policy.Sandbox == trust.SandboxOn {
		policy.Libraries = backends.Probe().Folders
	}
	w.logPluginNotes(found, policy)
	cfg.Name, cfg.Version, cfg.Path = found.Name, found.Manifest.Version, found.Program
	if len(found.Manifest.Families) > 1 {
		cfg.Family = found.Manifest.Families[0]
	}
	cfg.Env = append(cfg.Env, policy.AllowedVariables(found)...)
	guard := trust.NewGuard(found, policy)
	cfg.Prepare = guard.Prepare
	cfg.Accept = func(s host.Identity) error { return guard.Accept(s.Version, s.Protocol, s.Capabilities) }
	return nil
}

// checkStartable returns the error that every start of the plugin would return.
func checkStartable(found store.Plugin, policy trust.Policy) error {
	attached, err := host.Attached(found.Name)
	if err != nil {
		return err
	}
	if !attached {
		_, err := policy.Confined(found)
		return cmp.Or(found.CheckBuilt(), err)
	}
	if policy.Locked || policy.RequireSigned || policy.Sandbox == trust.SandboxOn {
		return adapters.Errorf(adapters.Unsupported,
			"plugin %s already runs (BRIDGE_REATTACH), so it cannot be checked or confined as required",
			found.Name).
			WithRemedy("unset BRIDGE_REATTACH, or do not require a lock, a signature or the sandbox")
	}
	pinned, err := policy.Pinned(found)
	if err == nil && pinned {
		err = adapters.Errorf(adapters.Unsupported,
			"plugin %s already runs (BRIDGE_REATTACH), so it cannot be compared with %s, which pins it",
			found.Name, policy.LockFile).
			WithRemedy("unset BRIDGE_REATTACH; or, to work on the plugin, remove [plugins.%s] from %s until you lock it again",
				found.Name, policy.LockFile)
	}
	return err
}

// logPluginNotes logs facts about a plugin that can surprise the user.
func (w *Workspace) logPluginNotes(found store.Plugin, policy trust.Policy) {
	if found.Shadows != "" {
		w.log.Warn("two plugins have this name; the project's is used", "plugin", found.Name, "used", found.Dir, "not used", found.Shadows)
	}
	if denied := policy.MissingVariables(found); len(denied) > 0 {
		w.log.Info("the plugin requests variables that it may not see; "+
			"allow them with `environment` in the recipe or in "+trust.SettingsFile,
			"plugin", found.Name, "variables", strings.Join(denied, " "))
	}
}
