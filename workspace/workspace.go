package workspace

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/builtin"
	"github.com/modular-bridging/bridge/internal/cachedir"
	"github.com/modular-bridging/bridge/internal/homepath"
	"github.com/modular-bridging/bridge/internal/loglevel"
	"github.com/modular-bridging/bridge/internal/logmux"
	"github.com/modular-bridging/bridge/internal/shell"
	"github.com/modular-bridging/bridge/internal/writable"
	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/plugins/host"
	"github.com/modular-bridging/bridge/plugins/trust"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/train/metrics"
)

// Options are the settings of a workspace. The zero value is ready to use.
type Options struct {
	// Log receives messages, and the output of plugins; nil discards them.
	Log *slog.Logger
	// Progress shows the progress of long work; nil shows nothing.
	Progress metrics.Progress
	// Trust holds requirements on plugins, in addition to the user's settings.
	Trust trust.Settings
	// Relocations hold the new paths of files that a run recorded under other paths.
	Relocations Relocations
	// Families are adapters of the program, in addition to the built-in ones. They run in
	// this process.
	Families []adapters.Family
	// AdapterCommand is the command that serves a built-in adapter family in its own
	// process; the family's name is appended. The program bridge uses itself with
	// "adapter serve". If it is empty, built-in adapters always run in this process, even
	// if a recipe or a caller asks for isolation.
	AdapterCommand []string
}

// Workspace opens models by name. Its methods are safe for concurrent use.
type Workspace struct {
	options  Options
	logs     *logmux.Handler
	log      *slog.Logger
	registry func() (*registry.Registry, error)
	running  host.Running

	interrupt interrupt
}

// New returns a workspace. It reads nothing until it is used.
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

// families returns the built-in families and those of the program.
func (w *Workspace) families() []adapters.Family {
	return append(builtin.Families(), w.options.Families...)
}

// newRegistry returns the registry of this machine.
func newRegistry(families []adapters.Family) (*registry.Registry, error) {
	o := registry.Default()
	o.Families = families
	o.KitModels = kit.Models()
	o.KitFolder = func(id string) (string, error) {
		dir, err := KitDir(context.Background())
		return filepath.Join(dir, id), err
	}
	return registry.New(o)
}

// Registry returns the registry of this machine's models. It is read once.
func (w *Workspace) Registry() (*registry.Registry, error) { return w.registry() }

// Log returns the logger of the workspace. It also writes to the files added with
// [Workspace.LogTo].
func (w *Workspace) Log() *slog.Logger { return w.log }

// Progress returns the progress display of the workspace.
func (w *Workspace) Progress() metrics.Progress { return w.options.Progress }

// LogTo also appends all messages, including debug messages, to a file until stop is called.
// Calls of adapters are included if the workspace's log shows them. fileLog writes only to the
// file.
func (w *Workspace) LogTo(file string) (fileLog *slog.Logger, stop func(), err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, nil, fmt.Errorf("open the run's log: %w", err)
	}
	level := slog.LevelDebug
	if w.log.Enabled(context.Background(), loglevel.Trace) {
		level = loglevel.Trace
	}
	h := shell.NewLogHandler(f, &slog.HandlerOptions{Level: level, ReplaceAttr: loglevel.NameTrace})
	remove := w.logs.Add(h)
	return slog.New(h), func() {
		remove()
		w.Closer(f)()
	}, nil
}

// CheckFolders returns an error if a variable that names a folder of bridge begins with ~. Nothing
// expands it in a container's or a service's environment, and bridge would make a folder named ~.
func CheckFolders() error {
	for _, variable := range []string{cachedir.Variable, "BRIDGE_CONFIG", "BRIDGE_DATA"} {
		dir := os.Getenv(variable)
		if write, found := homepath.Advice(dir); found {
			return adapters.Errorf(adapters.Invalid, "%s is %q, and nothing has expanded ~", variable, dir).
				WithRemedy("set it to %s", write)
		}
	}
	return nil
}

// KitDir unpacks the kit into the cache unless it is there, and returns its folder. If the cache
// cannot be written, the error names the variable that moves it.
func KitDir(ctx context.Context) (string, error) {
	dir, err := kit.Extract(ctx, CacheDir())
	return dir, writable.Explain(err, CacheDir(), cachedir.Variable)
}

// CacheDir returns the folder for the unpacked kit and cached features: $BRIDGE_CACHE, or the
// folder bridge in the user's cache folder if the variable is not set.
func CacheDir() string {
	return cmp.Or(cachedir.Dir(), filepath.Join(os.TempDir(), "bridge"))
}

// Closer returns a function that closes c and logs an error.
func (w *Workspace) Closer(c io.Closer) func() {
	return func() {
		if err := c.Close(); err != nil {
			w.log.Warn("closing a model", "error", err)
		}
	}
}

// OptionError reports an option that is missing, or that cannot be used with a model or file.
// On a command line this is wrong usage.
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
