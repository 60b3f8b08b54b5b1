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

// PluginConstraints are the requirements on a plugin that come from a recipe, in
// addition to the user's settings.
type PluginConstraints struct {
	Locked      bool
	Sandbox     trust.Sandbox
	Environment []string      // variables that it may see beside those that all plugins see
	Trained     trust.Trained // the plugin as it was in training; zero: not known
}

// constraintsOf returns what a recipe's table requires.
func constraintsOf(b recipes.Backbone) PluginConstraints {
	return PluginConstraints{Locked: b.Locked, Sandbox: trust.Sandbox(b.Sandbox), Environment: b.Environment}
}

// Policy returns what a plugin must fulfil: the user's settings, those of the workspace,
// and the constraints. Each can require more; only the workspace's own can turn the
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

// guard completes the configuration of a plugin that is to load a model: the plugin is
// checked before each start, and sees the environment that the policy allows.
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
	cfg.Env = append(cfg.Env, policy.Allowed(found)...)
	guard := trust.NewGuard(found, policy)
	cfg.Prepare = guard.Prepare
	cfg.Accept = func(s host.Identity) error { return guard.Accept(s.Version, s.Protocol, s.Capabilities) }
	return nil
}

// checkStartable returns at once the error that every start would return.
func checkStartable(found store.Plugin, policy trust.Policy) error {
	attached, err := host.Attached(found.Name)
	if err != nil {
		return err
	}
	if !attached {
		_, err := policy.Confined(found)
		return cmp.Or(found.Complete(), err)
	}
	if policy.Locked || policy.RequireSigned || policy.Sandbox == trust.SandboxOn {
		return adapters.Errorf(adapters.Unsupported, "plugin %s already runs (BRIDGE_REATTACH), so it can be neither checked nor confined, as is required", found.Name).
			WithRemedy("unset BRIDGE_REATTACH, or require neither lock nor signature nor sandbox")
	}
	pinned, err := policy.Pinned(found)
	if err == nil && pinned {
		err = adapters.Errorf(adapters.Unsupported, "plugin %s already runs (BRIDGE_REATTACH), so it cannot be compared with %s, which pins it", found.Name, policy.LockFile).
			WithRemedy("unset BRIDGE_REATTACH; or, to work on the plugin, remove [plugins.%s] from %s until you lock it again", found.Name, policy.LockFile)
	}
	return err
}

// logPluginNotes reports what about a plugin may not be as the user thinks.
func (w *Workspace) logPluginNotes(found store.Plugin, policy trust.Policy) {
	if found.Shadows != "" {
		w.log.Warn("two plugins have the name: the project's is used", "plugin", found.Name, "used", found.Dir, "not used", found.Shadows)
	}
	if wanted := policy.Wanted(found); len(wanted) > 0 {
		w.log.Info("the plugin asks for variables that it does not see; `environment` in the recipe or in "+trust.SettingsFile+" lets it",
			"plugin", found.Name, "variables", strings.Join(wanted, " "))
	}
}
