package main

import (
	"cmp"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/plugins/conformance"
	"github.com/modular-bridging/bridge/plugins/host"
	"github.com/modular-bridging/bridge/plugins/lockfile"
	"github.com/modular-bridging/bridge/plugins/manifest"
	"github.com/modular-bridging/bridge/plugins/store"
	"github.com/modular-bridging/bridge/plugins/trust"
	"github.com/modular-bridging/bridge/registry"
)

// wishes are what is asked of a plugin that is to be started, beside the user's
// settings.
type wishes struct {
	locked      bool
	sandbox     trust.Sandbox
	environment []string // that it may see
	trained     trust.Trained
}

// trustFlags hold for every command that starts plugins.
func trustFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "locked", Usage: "start only plugins that " + lockfile.Name + " pins (bridge plugin lock)"},
		&cli.BoolFlag{Name: "require-signed", Usage: "start only plugins that are signed by a key that you trust"},
		&cli.StringFlag{Name: "sandbox", Usage: "`WHETHER` plugins are confined, without network and with few files: none or on"},
	}
}

// askTrust notes what the program's flags ask of all plugins.
func (p *program) askTrust(c *cli.Context) error {
	sandbox := c.String("sandbox")
	if err := trust.CheckSandbox(sandbox); err != nil {
		return usagef("--sandbox %v", err)
	}
	p.asked.Locked, p.asked.RequireSigned, p.asked.Sandbox = c.Bool("locked"), c.Bool("require-signed"), trust.Sandbox(sandbox)
	return nil
}

// policy is what is asked of a plugin by the user's settings, the command line and
// a recipe. Each can ask for more; only the command line can say that there shall
// be no sandbox.
func (p *program) policy(w wishes) (trust.Policy, error) {
	settings, err := trust.ReadSettings(registry.ConfigDir())
	if err != nil {
		return trust.Policy{}, err
	}
	settings.Locked = settings.Locked || p.asked.Locked || w.locked
	settings.RequireSigned = settings.RequireSigned || p.asked.RequireSigned
	switch {
	case p.asked.Sandbox != "":
		settings.Sandbox = p.asked.Sandbox
	case w.sandbox == trust.SandboxOn:
		settings.Sandbox = trust.SandboxOn
	}
	return trust.Policy{Settings: settings, LockFile: lockfile.Name, Environment: w.environment, Trained: w.trained, Log: p.log}, nil
}

// trusted completes the configuration of a plugin that is to load a model: it is
// checked before each start, and sees the environment that it may see.
func (p *program) trusted(cfg *host.Config, found store.Plugin, w wishes) error {
	policy, err := p.policy(w)
	if err != nil {
		return err
	}
	policy.Checkpoint = cfg.Load.Checkpoint
	if err := startable(found, policy); err != nil {
		return err
	}
	if policy.Sandbox == trust.SandboxOn {
		policy.Libraries = backends.Probe().Folders
	}
	p.announce(found, policy)
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

// startable says at once what every start would say.
func startable(found store.Plugin, policy trust.Policy) error {
	attached, err := host.Attached(found.Name)
	if err != nil {
		return err
	}
	if !attached {
		_, err := policy.Confined(found)
		return cmp.Or(found.CheckBuilt(), err)
	}
	if policy.Locked || policy.RequireSigned || policy.Sandbox == trust.SandboxOn {
		return adapters.Errorf(adapters.Unsupported, "plugin %s runs already, by BRIDGE_REATTACH: it can be neither checked nor confined, as is asked", found.Name).
			WithRemedy("unset BRIDGE_REATTACH, or ask for neither lock nor signature nor sandbox")
	}
	pinned, err := policy.Pinned(found)
	if err == nil && pinned {
		err = adapters.Errorf(adapters.Unsupported, "plugin %s runs already, by BRIDGE_REATTACH, and %s pins it: what runs cannot be compared with that", found.Name, policy.LockFile).
			WithRemedy("unset BRIDGE_REATTACH; or, to work on the plugin, take [plugins.%s] out of %s until you lock it anew", found.Name, policy.LockFile)
	}
	return err
}

// announce says what of a plugin is not as one may think.
func (p *program) announce(found store.Plugin, policy trust.Policy) {
	if found.Shadows != "" {
		p.log.Warn("two plugins have the name: the project's is used", "plugin", found.Name, "used", found.Dir, "not used", found.Shadows)
	}
	if wanted := policy.MissingVariables(found); len(wanted) > 0 {
		p.log.Info("the plugin asks for variables that it does not see; `environment` in the recipe or in "+trust.SettingsFile+" lets it",
			"plugin", found.Name, "variables", strings.Join(wanted, " "))
	}
}

// mayBuild checks a plugin whose build command is about to run, where only locked or
// signed plugins may start.
func (p *program) mayBuild(path string) error {
	policy, err := p.policy(wishes{})
	if err != nil || !policy.Locked && !policy.RequireSigned || !isFile(filepath.Join(path, manifest.File)) {
		return err
	}
	found, err := storedAt(path)
	if err != nil || found.Manifest.Build.Command == "" {
		return err
	}
	_, err = checkPlugin(found, policy)
	return err
}

// storedAt finds the plugin that a path means, which may have no slash.
func storedAt(path string) (store.Plugin, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return store.Plugin{}, err
	}
	return store.Default().Find(path)
}

// mayTest checks a plugin that the conformance kit is about to start, once: the kit
// starts it in ways of its own, in the sandbox where one is asked for.
func (p *program) mayTest(target *conformance.Target, golden []string) error {
	found, err := storedAt(target.Config.Path)
	if err != nil {
		return err
	}
	policy, err := p.policy(wishes{})
	if err != nil {
		return err
	}
	if policy.Sandbox != trust.SandboxOn {
		_, err = examinePlugin(found, policy)
		return err
	}
	if err := startable(found, policy); err != nil {
		return err
	}
	policy.Libraries = backends.Probe().Folders
	if policy.Checkpoint, err = absolute(target.Config.Load.Checkpoint); err != nil {
		return err
	}
	for _, dir := range golden {
		if dir, err = absolute(dir); err != nil {
			return err
		}
		policy.Read = append(policy.Read, dir)
	}
	target.Confine, err = trust.NewGuard(found, policy).Confine()
	return err
}

// absolute is filepath.Abs but for an empty path.
func absolute(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	return filepath.Abs(path)
}
