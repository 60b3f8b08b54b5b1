package plugins

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
	"github.com/modular-bridging/bridge/internal/cloexec"
)

// Config says which plugin to start and which model it shall load.
type Config struct {
	Name    string   // in logs and errors; empty means the executable's name
	Version string   // as a manifest says, for errors before the plugin says its own; may be empty
	Path    string   // the executable
	Args    []string // without the executable's own name
	Family  string   // where the executable serves several; empty where it serves one

	// Load goes to the plugin. Its checkpoint is made absolute; its Progress is
	// called again when a plugin that died is restarted.
	Load adapters.LoadRequest

	// Env adds to the plugin's environment: "KEY=value", or "KEY" for a
	// variable of this process that the allow-list does not name.
	Env []string

	// Prepare, where not nil, is called right before each start of the process, a
	// restart included. It may refuse with an error, and change how it is started;
	// files that it appends to ExtraFiles are closed once the process has them.
	Prepare func(*exec.Cmd) error

	// Accept, where not nil, is told what each process says of itself once its model
	// is loaded. An error of it ends the process and is the start's.
	Accept func(Said) error

	Logger       *slog.Logger  // nil discards what the plugin prints
	StartTimeout time.Duration // until the handshake, before Load; a process that is busy gets ten times that; 0 means 30 s
	Restart      Restart
	Limits       Limits

	Transport  Transport // of tensors; empty means TransportAuto
	ArenaBytes int64     // of shared memory in each direction, of which only used pages exist; 0 means 1 GiB

	// Running, where not nil, knows the process as long as it runs.
	Running *Running

	// Started is told the process id of every process that is started, at once.
	// Watch sees every message on the connection to the plugin, as gRPC's stats.
	// Both are for measurements and tests; nil is fine.
	Started func(pid int)
	Watch   stats.Handler

	versions map[int]goplugin.PluginSet // of the protocol that this side speaks
	attached *attachment                // to a process that somebody else has started; nil: bridge starts it
}

// Said is what a plugin says of itself when it is started: what a manifest can be
// held against.
type Said struct {
	Version      string // as its author has it; empty where he gives none
	Protocol     int    // major of the plugin protocol that it speaks with this host
	Capabilities []adapters.Capability
}

// Restart says what happens when the plugin's process dies.
type Restart struct {
	// Limit is how often one request may be repeated in a new process; 0 means
	// 3, a negative number never.
	Limit int
	// Backoff is waited before the first restart and doubles, up to MaxBackoff,
	// for every further one until a request succeeds; 0 means 200 ms and 10 s.
	Backoff, MaxBackoff time.Duration
}

// delay is waited before the restart that follows so many deaths in a row.
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
	if c.attached, err = attachmentOf(c.Name); err != nil {
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
		c.versions = versions(nil)
	}
	setDefault(&c.Transport, TransportAuto)
	setDefault(&c.ArenaBytes, defaultArenaBytes)
	setDefault(&c.StartTimeout, 30*time.Second)
	setDefault(&c.Restart.Limit, 3)
	setDefault(&c.Restart.Backoff, 200*time.Millisecond)
	setDefault(&c.Restart.MaxBackoff, 10*time.Second)
	return c, nil
}

// executable is the absolute path of a program.
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

// allowedEnv lists what a plugin sees of this process's environment: what
// selects its backend, devices and threads, where programs, libraries, caches
// and temporary files are, and the locale. Anything else may be a secret.
func allowedEnv() []string {
	return []string{
		"GOMLX_BACKEND", "GOMLX_NO_AUTO_INSTALL", "PJRT_PLUGIN_LIBRARY_PATH", "XLA_FLAGS", "TF_CPP_MIN_LOG_LEVEL",
		"CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "GOMAXPROCS", "GOMEMLIMIT", "OMP_NUM_THREADS",
		"PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "HOME", "USER", "GOCOVERDIR",
		"XDG_CACHE_HOME", "XDG_DATA_HOME", "BRIDGE_CACHE", "HF_HOME",
		"LANG", "LC_ALL", "LC_CTYPE", "TZ",
	}
}

// folders lists those variables of the allow-list that name a folder: a relative
// one means one of this process's working folder, which is not the plugin's.
func folders() []string {
	return []string{"HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "BRIDGE_CACHE", "HF_HOME", "GOCOVERDIR"}
}

// environment builds the plugin's, of the allow-list, what keeps its own folder as
// it is, its private folder for temporary files, and c.Env; the last value of a key
// counts.
func (c *Config) environment(private string) []string {
	own := []string{"PYTHONDONTWRITEBYTECODE=1", "TMPDIR=" + private}
	var env []string
	for _, entry := range slices.Concat(allowedEnv(), own, c.Env) {
		if strings.Contains(entry, "=") {
			env = append(env, entry)
			continue
		}
		value, ok := os.LookupEnv(entry)
		if abs, err := filepath.Abs(value); value != "" && err == nil && slices.Contains(folders(), entry) {
			value = abs
		}
		if ok {
			env = append(env, entry+"="+value)
		}
	}
	env = append(env, c.Limits.environment()...)
	return append(env, logLevelKey+"="+levelOf(c.Logger))
}

// StartCommand starts a plugin's process as the configuration wants it prepared, with
// no file of this process's but those handed over. Prepare comes as late as can be:
// what it has checked is what starts.
func (c *Config) StartCommand(cmd *exec.Cmd) error {
	if err := cloexec.Keep(); err != nil {
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
