// Package trust decides, right before each start of a plugin, whether it may start and how:
// it must match its pin, be signed if the user requires signatures, and it is put into the
// sandbox if the policy says so. docs/trust.md describes what that protects against.
// The package must not know how a plugin is started or called.
package trust

import (
	"cmp"
	"log/slog"
	"os/exec"
	"slices"
	"strings"
	"sync"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/dirhash"
	"github.com/modular-bridging/bridge/internal/sandbox"
	"github.com/modular-bridging/bridge/internal/shell"
	"github.com/modular-bridging/bridge/plugins/lockfile"
	"github.com/modular-bridging/bridge/plugins/release"
	"github.com/modular-bridging/bridge/plugins/store"
)

// Policy has the requirements on one plugin.
type Policy struct {
	Settings
	// LockFile is the path of the project's lock file, which need not exist.
	LockFile string
	// Environment names the variables that the recipe passes to the plugin.
	Environment []string
	// Checkpoint is the folder of the model that the plugin loads; empty if the plugin
	// contains its model.
	Checkpoint string
	// Libraries are folders that a confined plugin may read in addition to the system's.
	Libraries []string
	// Read are further files and folders that a confined plugin may read.
	Read []string
	// Trained is the plugin with which a bridge was trained; zero if that is not known.
	Trained Trained
	Log     *slog.Logger // nil discards messages
}

// Guard checks one plugin before every start.
type Guard struct {
	plugin store.Plugin
	policy Policy

	mu     sync.Mutex
	first  *store.Snapshot // at the first start; nil before
	last   Verdict         // at the last start; without files before
	warned map[string]bool // the warnings that were logged
}

// NewGuard returns the guard of a plugin.
func NewGuard(plugin store.Plugin, policy Policy) *Guard {
	policy.Log = cmp.Or(policy.Log, slog.New(slog.DiscardHandler))
	return &Guard{plugin: plugin, policy: policy, last: Verdict{Snapshot: store.Snapshot{Plugin: plugin}}, warned: map[string]bool{}}
}

// Plugin returns the plugin that the guard checks.
func (g *Guard) Plugin() store.Plugin { return g.plugin }

// Verdict is the result of a check of a plugin that may start.
type Verdict struct {
	store.Snapshot
	Locked bool // the lock file pins the plugin, and the plugin matches the pin
	Signer release.Signer
}

// Check reads the whole plugin and returns an error unless it may start.
func (g *Guard) Check() (Verdict, error) {
	now, err := g.plugin.Read()
	if err != nil {
		return Verdict{}, err
	}
	v := Verdict{Snapshot: now}
	pin, err := g.policy.lockedPin(g.plugin)
	if err != nil {
		return v, err
	}
	if pin != nil {
		if err := checkPin(v, *pin); err != nil {
			return v, err
		}
		v.Locked = true
	}
	if err := g.checkUnchanged(v); err != nil {
		return v, err
	}
	if err := g.checkTrained(v); err != nil {
		return v, err
	}
	if v.Signer, err = release.Check(now, g.policy.keys); err != nil {
		return v, err
	}
	if pin != nil && pin.SignedBy != "" && pin.SignedBy != v.Signer.Key {
		return v, changedSinceLock(v, "it was signed by the key "+pin.SignedBy+", and is signed by "+v.Signer.String())
	}
	if err := g.policy.checkSigned(v); err != nil {
		return v, err
	}
	return v, g.checkStrayCode(v)
}

// checkUnchanged returns an error if the plugin has changed since this guard's first start,
// locked or not. In a folder that is named by its path and not pinned, only the program must
// stay the same: its author works there, and so may the run that starts it. Other changes are
// warned of.
func (g *Guard) checkUnchanged(v Verdict) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	loose := !v.Locked && v.Place == store.ByPath
	if g.first == nil {
		g.first = &v.Snapshot
		if !v.Locked {
			g.policy.Log.Info("the plugin is not locked: `bridge plugin lock` pins its present state", "plugin", v.Name)
		}
	}
	if g.first.Pin.Digest == v.Pin.Digest {
		return nil
	}
	if loose && g.first.Executable == v.Executable {
		g.warn(adapters.Errorf(adapters.Corrupt, "plugin %s has changed since its first start, and its results may differ from the earlier ones: %s",
			v.Name, strings.Join(g.first.Pin.Differences(v.Pin), "; ")).
			WithRemedy("start the run again if the change matters"))
		return nil
	}
	return adapters.Errorf(adapters.Corrupt, "plugin %s has changed since its first start: %s", v.Name, strings.Join(g.first.Pin.Differences(v.Pin), "; ")).
		WithRemedy("find out what changed it, then start again")
}

// checkSigned returns an error if a signature is required and the plugin is not signed with
// a trusted key.
func (p Policy) checkSigned(v Verdict) error {
	if !p.RequireSigned {
		return nil
	}
	if v.Signer.Name != "" {
		if len(v.Signer.Unsigned) == 0 || v.Locked {
			return nil
		}
		return adapters.Errorf(adapters.Invalid, "plugin %s is signed by %s, which was built here, and require_signed is set", v.Name, v.Signer).
			WithRemedy("if you built it yourself, pin it: %s", lockCommand(v.Plugin))
	}
	if !v.Signer.Signed {
		return adapters.Errorf(adapters.Invalid, "plugin %s is not signed, and require_signed is set", v.Name).
			WithRemedy("get a signed release, or sign it yourself once you have checked it: bridge plugin sign")
	}
	return adapters.Errorf(adapters.Invalid, "plugin %s is signed by the key %s, which you do not trust", v.Name, v.Signer.Key).
		WithRemedy("if you know whose it is, add the public key under [keys] in %s of your configuration folder (`bridge doctor` shows it)", SettingsFile)
}

// lockedPin returns the plugin's pin in the lock file. If there is none, it returns nil, or
// an error if only locked plugins may start.
func (p Policy) lockedPin(plugin store.Plugin) (*store.Pin, error) {
	lock, err := lockfile.ReadProject(p.LockFile)
	if err != nil {
		return nil, err
	}
	if lock.Plugins != nil {
		if err := dirhash.Trusted(p.LockFile); err != nil {
			return nil, err
		}
	}
	pin, ok := lock.Plugins[plugin.Name]
	if ok {
		return &pin, nil
	}
	if !p.Locked {
		return nil, nil
	}
	return nil, adapters.Errorf(adapters.Invalid, "plugin %s is not in %s, and only locked plugins may start", plugin.Name, p.LockFile).
		WithRemedy("check the plugin, then pin it: %s", lockCommand(plugin))
}

// Pinned reports whether the lock file has the plugin. It does not compare the pin.
func (p Policy) Pinned(plugin store.Plugin) (bool, error) {
	p.Locked = false
	pin, err := p.lockedPin(plugin)
	return pin != nil, err
}

// lockCommand returns the command that pins a plugin.
func lockCommand(p store.Plugin) string {
	name := p.Name
	if p.Place == store.ByPath {
		name = cmp.Or(p.Dir, p.Program)
	}
	return shell.Command("bridge", "plugin", "lock", shell.Operand(name))
}

// checkPin returns an error if a plugin differs from its pin.
func checkPin(v Verdict, pin store.Pin) error {
	if found := pin.Differences(v.Pin); len(found) > 0 {
		return changedSinceLock(v, strings.Join(found, "; "))
	}
	return nil
}

func changedSinceLock(v Verdict, how string) error {
	return adapters.Errorf(adapters.Corrupt, "plugin %s differs from its lock: %s", v.Name, how).
		WithRemedy("restore the locked version; or, if you changed it yourself, lock it again: %s", lockCommand(v.Plugin))
}

// Prepare checks the plugin and changes the command that is about to start it. On systems
// that can do it, the command starts the open file that was checked. If the policy says so,
// the plugin is confined.
func (g *Guard) Prepare(cmd *exec.Cmd) error {
	v, err := g.Check()
	if err != nil {
		return err
	}
	g.mu.Lock()
	g.last = v
	g.mu.Unlock()
	if err := pinProgram(cmd, v); err != nil {
		return err
	}
	if g.policy.Sandbox != SandboxOn {
		return nil
	}
	return g.policy.confine(cmd, v)
}

// Confine checks the plugin once, for callers that start it many times in their own way. It
// returns a function that puts a start into the sandbox, in which the plugin may write to
// the given folders and to its working folder.
func (g *Guard) Confine() (func(cmd *exec.Cmd, writable ...string) error, error) {
	v, err := g.Check()
	if err != nil {
		return nil, err
	}
	return func(cmd *exec.Cmd, writable ...string) error { return g.policy.confine(cmd, v, writable...) }, nil
}

// MissingVariables returns the variables that the plugin's manifest names and that neither the
// recipe nor the user allows.
func (p Policy) MissingVariables(plugin store.Plugin) []string {
	allowed := p.AllowedVariables(plugin)
	var missing []string
	for _, name := range plugin.Manifest.Environment {
		if !slices.Contains(allowed, name) {
			missing = append(missing, name)
		}
	}
	return missing
}

// AllowedVariables returns the variables that the plugin may see in addition to those that
// every plugin sees.
func (p Policy) AllowedVariables(plugin store.Plugin) []string {
	return slices.Concat(p.Environment, p.Settings.Environment[plugin.Name])
}

// Confined reports whether the plugin will be confined, and returns an error if it must be
// and cannot.
func (p Policy) Confined(plugin store.Plugin) (bool, error) {
	if p.Sandbox != SandboxOn {
		return false, nil
	}
	if plugin.Manifest.Network {
		return false, adapters.Errorf(adapters.Unsupported, "plugin %s needs the network, which the sandbox does not allow", plugin.Name).
			WithRemedy(`set sandbox = "none" if you trust it`)
	}
	return true, sandbox.Supported()
}

// Signer returns the signer of a plugin that is about to be added or locked. It returns an
// error for a wrong signature and, if a signature is required, for a plugin that is not
// signed with a trusted key. A signature does not cover what the plugin's build has made
// here, but a lock will pin it.
func Signer(now store.Snapshot, p Policy) (release.Signer, error) {
	signer, err := release.Check(now, p.keys)
	if err == nil {
		err = p.checkSigned(Verdict{Snapshot: now, Signer: signer, Locked: true})
	}
	return signer, err
}

// Lock reads a plugin and returns it with the pin for a lock file. The pin names the signer
// only if the user trusts the key. A plugin that may not start is not pinned.
func Lock(plugin store.Plugin, p Policy) (store.Snapshot, error) {
	if err := plugin.CheckBuilt(); err != nil {
		return store.Snapshot{}, err
	}
	now, err := plugin.Read()
	if err != nil {
		return now, err
	}
	signer, err := Signer(now, p)
	if err != nil {
		return now, err
	}
	if signer.Name != "" {
		now.Pin.SignedBy = signer.Key
	}
	return now, rejectStrayCode(now)
}
