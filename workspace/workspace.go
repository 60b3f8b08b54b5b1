package workspace

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/builtin"
	"github.com/modular-bridging/bridge/internal/loglevel"
	"github.com/modular-bridging/bridge/internal/logmux"
	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/plugins/host"
	"github.com/modular-bridging/bridge/plugins/trust"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/train/metrics"
)

// Options say what a workspace tells its user, and what the user requires. The zero
// value is ready to use.
type Options struct {
	// Log receives warnings and messages, and what plugins print; nil discards them.
	Log *slog.Logger
	// Progress shows long work; nil shows nothing.
	Progress metrics.Progress
	// Trust holds requirements on plugins in addition to the user's settings.
	Trust trust.Settings
	// Relocations say where things are now that a run names by an older path.
	Relocations Relocations
	// Families are adapters of the program's own, in addition to the built-in ones. They
	// run in this process.
	Families []adapters.Family
	// AdapterCommand is the command that serves a built-in adapter family in a process of
	// its own; the family's name is appended. The program bridge gives itself with
	// "adapter serve". If it is empty, built-in adapters run in this process, whatever
	// isolation a recipe or a caller asks for.
	AdapterCommand []string
}

// Workspace opens models by name. Its methods may be called from several goroutines.
type Workspace struct {
	options  Options
	logs     *logmux.Handler
	log      *slog.Logger
	registry func() (*registry.Registry, error)
	running  host.Running

	interrupt interrupt
}

// New returns a workspace. Nothing is read until it is used.
func New(o Options) *Workspace {
	first := slog.DiscardHandler
	if o.Log != nil {
		first = o.Log.Handler()
	}
	if o.Progress == nil {
		o.Progress = metrics.Silent()
	}
	logs := logmux.New(first)
	w := &Workspace{options: o, logs: logs, log: slog.New(logs)}
	w.registry = sync.OnceValues(func() (*registry.Registry, error) { return newRegistry(w.families()) })
	return w
}

// families returns the built-in families and the program's own.
func (w *Workspace) families() []adapters.Family {
	return append(builtin.Families(), w.options.Families...)
}

// newRegistry builds the registry of this machine.
func newRegistry(families []adapters.Family) (*registry.Registry, error) {
	o := registry.Default()
	o.Families = families
	o.KitModels = kit.Models()
	o.KitFolder = func(id string) (string, error) {
		dir, err := kit.Extract(context.Background(), CacheDir())
		return filepath.Join(dir, id), err
	}
	return registry.New(o)
}

// Registry returns the models that this machine knows by id. It is read once.
func (w *Workspace) Registry() (*registry.Registry, error) { return w.registry() }

// Log returns the logger of the workspace. It also writes to the files that [Workspace.LogTo]
// has added.
func (w *Workspace) Log() *slog.Logger { return w.log }

// Progress returns what shows long work.
func (w *Workspace) Progress() metrics.Progress { return w.options.Progress }

// LogTo appends all messages to a file too, debug messages included, until stop is
// called. Calls of adapters are among them if the workspace's own log shows them. only
// writes to the file alone.
func (w *Workspace) LogTo(file string) (only *slog.Logger, stop func(), err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, nil, fmt.Errorf("open the run's log: %w", err)
	}
	level := slog.LevelDebug
	if w.log.Enabled(context.Background(), loglevel.Trace) {
		level = loglevel.Trace
	}
	h := slog.NewTextHandler(f, &slog.HandlerOptions{Level: level, ReplaceAttr: loglevel.NameTrace})
	remove := w.logs.Add(h)
	return slog.New(h), func() {
		remove()
		w.Closer(f)()
	}, nil
}

// CacheDir returns the folder that holds the unpacked kit and features: $BRIDGE_CACHE,
// or else the bridge folder in the user's cache folder.
func CacheDir() string {
	if dir := os.Getenv("BRIDGE_CACHE"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "bridge")
}

// Closer returns a function that closes c and logs what goes wrong.
func (w *Workspace) Closer(c io.Closer) func() {
	return func() {
		if err := c.Close(); err != nil {
			w.log.Warn("closing a model", "error", err)
		}
	}
}

// OptionError reports an option that is missing or does not fit what it is used with.
// A command line that gave it is wrong usage.
type OptionError struct{ message string }

// Error returns the message.
func (e OptionError) Error() string { return e.message }

// OptionErrorf returns an [OptionError].
func OptionErrorf(format string, args ...any) error {
	return OptionError{fmt.Sprintf(format, args...)}
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
