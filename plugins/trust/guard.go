// Package trust decides whether a plugin may start, right before each start, and
// how: as it was locked, signed where that is required, confined where that was
// asked for. docs/trust.md says what that protects against, and what not.
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
	"github.com/modular-bridging/bridge/plugins/lockfile"
	"github.com/modular-bridging/bridge/plugins/release"
	"github.com/modular-bridging/bridge/plugins/store"
)

// Policy says what is asked of one plugin.
type Policy struct {
	Settings
	// LockFile is the project's; it need not be there.
	LockFile string
	// Environment names the variables that the recipe lets the plugin see.
	Environment []string
	// Checkpoint is the folder of the model that the plugin loads; empty where it
	// brings its own.
	Checkpoint string
	// Libraries are folders that a confined plugin may read beside the system's.
	Libraries []string
	// Read are files and folders that a confined plugin may read, too.
	Read []string
	// Trained is what the plugin was when a bridge was trained with it; zero where
	// that is not known.
	Trained Trained
	Log     *slog.Logger // nil is silent
}

// Guard is asked before every start of one plugin.
type Guard struct {
	plugin store.Plugin
	policy Policy

	mu    sync.Mutex
	first *store.Snapshot // at the first start; nil before
	last  Verdict         // of the last start, that of no file before
	said  map[string]bool // what has been warned of
}

// NewGuard returns the guard of a plugin.
func NewGuard(plugin store.Plugin, policy Policy) *Guard {
	policy.Log = cmp.Or(policy.Log, slog.New(slog.DiscardHandler))
	return &Guard{plugin: plugin, policy: policy, last: Verdict{Snapshot: store.Snapshot{Plugin: plugin}}, said: map[string]bool{}}
}

// Plugin returns the plugin that is guarded.
func (g *Guard) Plugin() store.Plugin { return g.plugin }

// Verdict is what was found out about a plugin that may start.
type Verdict struct {
	store.Snapshot
	Locked bool // the lock file pins it, and it is as that says
	Signer release.Signer
}

// Check reads all of the plugin and returns an error unless it may start.
func (g *Guard) Check() (Verdict, error) {
	now, err := g.plugin.Read()
	if err != nil {
		return Verdict{}, err
	}
	v := Verdict{Snapshot: now}
	pin, err := g.policy.pin(g.plugin)
	if err != nil {
		return v, err
	}
	if pin != nil {
		if err := matches(v, *pin); err != nil {
			return v, err
		}
		v.Locked = true
	}
	if err := g.same(v); err != nil {
		return v, err
	}
	if err := g.asTrained(v); err != nil {
		return v, err
	}
	if v.Signer, err = release.Check(now, g.policy.keys); err != nil {
		return v, err
	}
	if pin != nil && pin.SignedBy != "" && pin.SignedBy != v.Signer.Key {
		return v, otherThanLocked(v, "it was signed by the key "+pin.SignedBy+", and is signed by "+v.Signer.String())
	}
	if err := g.policy.signed(v); err != nil {
		return v, err
	}
	return v, g.strays(v)
}

// same refuses a plugin that is another than at this guard's first start, locked
// or not. Of a folder that a path names and nothing pins, the program counts alone:
// its author works there, and so may the run that starts it.
func (g *Guard) same(v Verdict) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	loose := !v.Locked && v.Place == store.ByPath
	if g.first == nil {
		g.first = &v.Snapshot
		if !v.Locked {
			g.policy.Log.Info("the plugin is not locked: `bridge plugin lock` pins it as it is", "plugin", v.Name)
		}
	}
	if g.first.Pin.Digest == v.Pin.Digest || loose && g.first.Executable == v.Executable {
		return nil
	}
	return adapters.Errorf(adapters.Corrupt, "plugin %s changed since it was started first: %s", v.Name, strings.Join(g.first.Pin.Differences(v.Pin), "; ")).
		WithRemedy("see what changed it; then start again")
}

// signed refuses what nobody has signed whom the user trusts, if that is required.
func (p Policy) signed(v Verdict) error {
	if !p.RequireSigned {
		return nil
	}
	if v.Signer.Name != "" {
		if len(v.Signer.Without) == 0 || v.Locked {
			return nil
		}
		return adapters.Errorf(adapters.Invalid, "plugin %s is signed by %s: that was built here, and require_signed is set", v.Name, v.Signer).
			WithRemedy("if you have built it, pin it as it is: bridge plugin lock %s", argument(v.Plugin))
	}
	if !v.Signer.Signed {
		return adapters.Errorf(adapters.Invalid, "plugin %s is not signed, and require_signed is set", v.Name).
			WithRemedy("get a signed release, or sign it yourself once you have checked it: bridge plugin sign")
	}
	return adapters.Errorf(adapters.Invalid, "plugin %s is signed by the key %s, which is none that you trust", v.Name, v.Signer.Key).
		WithRemedy("if you know whose it is, add the public key under [keys] in %s of your configuration folder (`bridge doctor` shows it)", SettingsFile)
}

// pin returns what the lock file says of a plugin, nil where it says nothing and
// need not.
func (p Policy) pin(plugin store.Plugin) (*store.Pin, error) {
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
		WithRemedy("check the plugin, then pin it as it is: bridge plugin lock %s", argument(plugin))
}

// Pinned reports whether the lock file has the plugin, as it is or not.
func (p Policy) Pinned(plugin store.Plugin) (bool, error) {
	p.Locked = false
	pin, err := p.pin(plugin)
	return pin != nil, err
}

// argument is what names a plugin on a command line.
func argument(p store.Plugin) string {
	if p.Place != store.ByPath {
		return p.Name
	}
	return cmp.Or(p.Dir, p.Program)
}

// matches says how a plugin is not what was locked.
func matches(v Verdict, pin store.Pin) error {
	if found := pin.Differences(v.Pin); len(found) > 0 {
		return otherThanLocked(v, strings.Join(found, "; "))
	}
	return nil
}

func otherThanLocked(v Verdict, how string) error {
	return adapters.Errorf(adapters.Corrupt, "plugin %s is not as it was locked: %s", v.Name, how).
		WithRemedy("put back what was locked; or, if you changed it yourself, lock it anew: bridge plugin lock %s", argument(v.Plugin))
}

// Prepare checks the plugin and changes the command that is about to start it: its
// executable is opened and checked, and what is open is what starts, where the
// system can do that; where it was asked for, it is confined.
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

// Confine checks the plugin once, for whoever starts it many times in ways of his
// own, and returns what puts each start into the sandbox, with folders that it may
// write to beside the one that it works in.
func (g *Guard) Confine() (func(cmd *exec.Cmd, writable ...string) error, error) {
	v, err := g.Check()
	if err != nil {
		return nil, err
	}
	return func(cmd *exec.Cmd, writable ...string) error { return g.policy.confine(cmd, v, writable...) }, nil
}

// Wanted are the variables that the plugin asks for and nobody has allowed.
func (p Policy) Wanted(plugin store.Plugin) []string {
	allowed := p.Allowed(plugin)
	var wanted []string
	for _, name := range plugin.Manifest.Environment {
		if !slices.Contains(allowed, name) {
			wanted = append(wanted, name)
		}
	}
	return wanted
}

// Allowed are the variables that the plugin may see beside those that all see.
func (p Policy) Allowed(plugin store.Plugin) []string {
	return slices.Concat(p.Environment, p.Settings.Environment[plugin.Name])
}

// Confined reports whether the plugin would be, and an error where it cannot.
func (p Policy) Confined(plugin store.Plugin) (bool, error) {
	if p.Sandbox != SandboxOn {
		return false, nil
	}
	if plugin.Manifest.Network {
		return false, adapters.Errorf(adapters.Unsupported, "plugin %s says that it needs the network, which the sandbox does not give", plugin.Name).
			WithRemedy(`set sandbox = "none" if you trust it`)
	}
	return true, sandbox.Supported()
}

// Signer says who signed a plugin that is about to be added or locked. It refuses a
// signature that is wrong and, where one is required, a plugin that has none by a key
// that the user trusts. What the plugin's build has made here a lock will pin.
func Signer(now store.Snapshot, p Policy) (release.Signer, error) {
	signer, err := release.Check(now, p.keys)
	if err == nil {
		err = p.signed(Verdict{Snapshot: now, Signer: signer, Locked: true})
	}
	return signer, err
}

// Lock reads a plugin and returns it with the pin for a lock file. A signature counts
// if it is by a key that the user trusts, and what is wrong is not pinned.
func Lock(plugin store.Plugin, p Policy) (store.Snapshot, error) {
	if err := plugin.Complete(); err != nil {
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
	return now, strays(now)
}
