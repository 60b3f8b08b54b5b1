package host

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc/stats"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/cloexec"
	"github.com/modular-bridging/bridge/internal/loglevel"
	"github.com/modular-bridging/bridge/internal/xlaflags"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// ProtocolVersion is the version of the plugin protocol that this host speaks.
const ProtocolVersion = wire.ProtocolVersion

// Config says which plugin to start and which model to load.
type Config struct {
	Name    string   // in logs and errors; empty means the executable's name
	Version string   // the manifest's, for errors before the plugin has reported its own; may be empty
	Path    string   // the executable
	Args    []string // without the executable's own name
	Family  string   // one of those that the executable serves; empty if it serves one

	// Load is the plugin's load request. Launch makes its checkpoint's path absolute. A
	// restart calls its Progress again.
	Load adapters.LoadRequest

	// Env adds to the plugin's environment: "KEY=value", or "KEY" for a
	// variable of this process that the allow-list does not name.
	Env []string

	// Prepare, if non-nil, is called right before each start of the process, including
	// restarts. It may change the command. If it returns an error, the process is not
	// started. Files that it appends to ExtraFiles are closed once the process has them.
	Prepare func(*exec.Cmd) error

	// Accept, if non-nil, is called with the plugin's description of itself after its
	// model has loaded. If it returns an error, the process is stopped and the start
	// fails with that error.
	Accept func(Identity) error

	Logger       *slog.Logger  // nil discards what the plugin prints
	StartTimeout time.Duration // until the handshake, before Load; a process that is busy gets ten times that; 0 means 30 s
	Restart      Restart
	Limits       Limits

	Transport  Transport // of tensors; empty means TransportAuto
	ArenaBytes int64     // of shared memory in each direction, of which only used pages exist; 0 means 1 GiB

	// Running, if non-nil, tracks the process while it runs.
	Running *Running

	// Started is called with the process id of each process right after its start. Watch
	// receives gRPC's statistics of the connection. Both are for measurements and tests,
	// and may be nil.
	Started func(pid int)
	Watch   stats.Handler

	versions map[int]goplugin.PluginSet // the protocol versions of this side
	attached *wire.Attachment           // a process that the host has not started; nil if the host starts it
}

// Identity is a plugin's description of itself, for a comparison with its manifest.
type Identity struct {
	Version      string // the author's; empty if there is none
	Protocol     int    // the major version of the protocol that it speaks with this host
	Capabilities []adapters.Capability
}

// Restart says how the host replaces a process that dies.
type Restart struct {
	// Limit is how often one request may be repeated in a new process. 0 means 3, a
	// negative number means never.
	Limit int
	// Backoff is the pause before the first restart. It doubles for every further
	// restart, up to MaxBackoff, until a request succeeds. 0 means 200 ms and 10 s.
	Backoff, MaxBackoff time.Duration
}

// delay returns the pause before the restart after a number of deaths in a row.
func (r Restart) delay(deaths int) time.Duration {
	d := r.Backoff
	for i := 1; i < deaths && d < r.MaxBackoff; i++ {
		d *= 2
	}
	return min(d, r.MaxBackoff)
}

// resolve checks the configuration and fills in the defaults.
func (c Config) resolve() (Config, error) {
	if c.Name == "" {
		c.Name = filepath.Base(c.Path)
	}
	var err error
	if c.attached, err = attachmentFor(c.Name); err != nil {
		return c, err
	}
	if c.attached == nil { // the program of one that is attached need not be there
		if c.Path, err = executable(c.Path); err != nil {
			return c, err
		}
	}
	if c.Load.Checkpoint != "" {
		if c.Load.Checkpoint, err = filepath.Abs(c.Load.Checkpoint); err != nil {
			return c, adapters.Errorf(adapters.NotFound, "checkpoint: %w", err).WithOp("start")
		}
	}
	if c.ArenaBytes < 0 {
		return c, adapters.Errorf(adapters.Invalid, "arenas of %d bytes, want a positive number", c.ArenaBytes).WithOp("start")
	}
	if c.Transport != "" && !slices.Contains(Transports(), string(c.Transport)) {
		return c, adapters.Errorf(adapters.Invalid, "the transport is %q, want one of %q", c.Transport, Transports()).WithOp("start")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Logger = c.Logger.With("plugin", c.Name)
	if c.versions == nil {
		c.versions = wire.Versions(nil)
	}
	setDefault(&c.Transport, TransportAuto)
	setDefault(&c.ArenaBytes, defaultArenaBytes)
	setDefault(&c.StartTimeout, 30*time.Second)
	setDefault(&c.Restart.Limit, 3)
	setDefault(&c.Restart.Backoff, 200*time.Millisecond)
	setDefault(&c.Restart.MaxBackoff, 10*time.Second)
	return c, nil
}

// executable returns the absolute path of a program.
func executable(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return "", adapters.Errorf(adapters.NotFound, "plugin %q is no executable: %w", name, err).
			WithRemedy("give the path of the plugin's program; chmod +x if it is there").WithOp("start")
	}
	return path, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// allowedEnv lists the variables of this process that a plugin sees: they select its
// backend, devices, threads and locale, and name the folders of programs, libraries,
// caches and temporary files. Any other variable may hold a secret.
func allowedEnv() []string {
	return []string{
		"GOMLX_BACKEND", "GOMLX_NO_AUTO_INSTALL", "PJRT_PLUGIN_LIBRARY_PATH", xlaflags.Variable, "TF_CPP_MIN_LOG_LEVEL",
		"CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "GODEBUG", "GOMAXPROCS", "GOMEMLIMIT", "OMP_NUM_THREADS",
		"PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "HOME", "USER", "GOCOVERDIR",
		"XDG_CACHE_HOME", "XDG_DATA_HOME", "BRIDGE_CACHE", backends.XLACachesVariable, "HF_HOME",
		"LANG", "LC_ALL", "LC_CTYPE", "TZ",
	}
}

// folderVariables lists the variables of the allow-list that name a folder. They are made
// absolute, because the plugin has another working folder than this process.
func folderVariables() []string {
	return []string{"HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "BRIDGE_CACHE", "HF_HOME", "GOCOVERDIR"}
}

// environment returns the plugin's environment: the allow-list, the private folder as the
// folder for temporary files, c.Env, the limits and the log level. Python writes no
// bytecode, which would change the plugin's folder. The last value of a key counts.
func (c *Config) environment(private string) []string {
	own := []string{"PYTHONDONTWRITEBYTECODE=1", "TMPDIR=" + private}
	var env []string
	for _, entry := range slices.Concat(allowedEnv(), own, c.Env) {
		if strings.Contains(entry, "=") {
			env = append(env, entry)
			continue
		}
		value, ok := os.LookupEnv(entry)
		if entry == xlaflags.Variable { // the plugin's XLA may not know the flags that this process added
			value = xlaflags.User()
			ok = value != ""
		}
		if abs, err := filepath.Abs(value); value != "" && err == nil && slices.Contains(folderVariables(), entry) {
			value = abs
		}
		if ok {
			env = append(env, entry+"="+value)
		}
	}
	env = append(env, c.Limits.environment()...)
	return append(env, wire.LogLevelKey+"="+loglevel.Of(c.Logger))
}

// StartCommand calls c.Prepare and starts the command of a plugin. The process inherits
// the command's files and no other open file of this process. Prepare runs last, so that
// the program which it has checked is the one that starts.
func (c *Config) StartCommand(cmd *exec.Cmd) error {
	if err := cloexec.MarkAll(); err != nil {
		return err
	}
	if c.Prepare == nil {
		return cmd.Start()
	}
	own := len(cmd.ExtraFiles)
	err := c.Prepare(cmd)
	if err == nil {
		err = cmd.Start()
	}
	for _, f := range cmd.ExtraFiles[own:] {
		f.Close()
	}
	return err
}

// Environ returns the environment of a plugin that works in a private folder, without the
// variables that differ between two starts: sockets, certificates, descriptors. The
// conformance suite starts plugins with it.
func (c Config) Environ(private string) []string {
	c, err := c.resolve()
	if err != nil {
		return nil // the start says what is wrong
	}
	return append(c.environment(private), wire.CookieKey+"="+wire.CookieValue)
}
