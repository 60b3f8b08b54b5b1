package plugins

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

// ServeConfig says what a plugin serves.
type ServeConfig struct {
	Families []adapters.Family
	Name     string // for logs and errors; empty means the executable's name
	Version  string // empty means the version of the main module
	Debug    bool   // serve though no host has started the process, see ServeWith
}

// Serve is the body of a plugin's main function: it serves the families to the
// host that started the process, until that host shuts it down or is gone, and
// then ends the process. Call it before anything that may print. Started by
// hand it says what the program is for, with exit status 2.
func Serve(families ...adapters.Family) {
	if err := ServeWith(ServeConfig{Families: families}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(0)
}

// ServeWith is [Serve] for programs that have more to say: it returns when the
// host shuts the plugin down, or at once with an error if the configuration is
// wrong or no host has started the process.
//
// From here on the process belongs to the plugin: file descriptor 1 leads to
// the standard error, SIGINT is ignored, and the process (its whole group, if
// it leads one) ends when the host is gone.
//
// An author who starts it himself, in a debugger for instance, sets the variable
// BRIDGE_DEBUG=1 (or cfg.Debug): then it prints a line for the shell in which
// bridge is to run, BRIDGE_REATTACH, and serves one bridge after the other until
// SIGINT. Nothing of the above happens to the process then.
func ServeWith(cfg ServeConfig) error {
	if err := cfg.check(); err != nil {
		return err
	}
	if os.Getenv(cookieKey) != cookieValue {
		if cfg.byHand() {
			return cfg.serveByAuthor()
		}
		return adapters.Errorf(adapters.Invalid, "this program is a plugin of bridge and was started by hand").
			WithRemedy("name it by its path in a recipe; to run it in a debugger, set %s=1", debugKey)
	}
	return serve(func(onLoad func()) (map[int]goplugin.PluginSet, func() error) {
		arenas := mapArenas()
		s := &server{
			hello:    cfg.hello(arenas.capabilities()...),
			families: cfg.Families,
			onLoad:   onLoad,
			arenas:   arenas,
		}
		return versions(s), s.close
	})
}

func (c *ServeConfig) check() error {
	if len(c.Families) == 0 {
		return adapters.Errorf(adapters.Invalid, "the plugin serves no family, want at least one")
	}
	for _, f := range c.Families {
		vision, language := f.OpenVision != nil, f.OpenLanguage != nil
		if vision == language || vision != (f.Kind == adapters.KindVision) || language != (f.Kind == adapters.KindLanguage) {
			return adapters.Errorf(adapters.Invalid,
				"family %q of kind %q: want OpenVision for %q or OpenLanguage for %q, not both",
				f.Name, f.Kind, adapters.KindVision, adapters.KindLanguage)
		}
	}
	return nil
}

func (c *ServeConfig) hello(capabilities ...string) *pb.Hello {
	return &pb.Hello{Name: c.name(), Version: c.version(), Capabilities: capabilities}
}

func (c *ServeConfig) name() string {
	if c.Name != "" {
		return c.Name
	}
	return filepath.Base(os.Args[0])
}

// unknownVersion is what a plugin says that was built without one.
const unknownVersion = "unknown"

func (c *ServeConfig) version() string {
	if c.Version != "" {
		return c.Version
	}
	if v := mainVersion(); v != "" {
		return v
	}
	return unknownVersion
}

// serve runs the server that build returns, in the version of the protocol that
// the host speaks too. Its argument restores the standard streams after go-plugin
// has replaced them.
func serve(build func(onLoad func()) (map[int]goplugin.PluginSet, func() error)) error {
	if err := protectStdout(); err != nil {
		return fmt.Errorf("moving the standard output aside: %w", err)
	}
	if err := holdLifeline(); err != nil {
		return err
	}
	certificate, err := inherited(certificateFDKey)
	if err != nil {
		return err
	}
	if certificate != nil {
		certificate.Close() // go-plugin makes its own
	}
	signal.Ignore(os.Interrupt) // the host decides when to stop
	// A line to a host that is gone must not end the process before its group is
	// ended. Not Ignore: programs that the plugin starts would inherit it.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)

	stderr := os.Stderr
	impl, closeModel := build(sync.OnceFunc(func() {
		// go-plugin sends what is written here through gRPC, and loses it when
		// the process dies: of all lines the last ones.
		os.Stdout, os.Stderr = stderr, stderr
	}))
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig:  handshake(),
		VersionedPlugins: impl,
		Logger:           hclog.New(&hclog.LoggerOptions{Name: "go-plugin", Level: hclog.Warn, Output: stderr}),
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, grpc.MaxRecvMsgSize(maxMessageBytes), grpc.MaxSendMsgSize(maxMessageBytes))...)
		},
	})
	return closeModel()
}

// protectStdout keeps file descriptor 1 for the handshake alone. A line that a
// C library prints would otherwise be taken for it, and a long one later would
// block the process: the host reads no further.
func protectStdout() error {
	saved, err := unix.FcntlInt(1, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return err
	}
	if err := unix.Dup2(2, 1); err != nil {
		return err
	}
	os.Stdout = os.NewFile(uintptr(saved), "handshake")
	return nil
}

// holdLifeline ends the process when the host's end of the pipe closes, which
// it does however the host dies.
func holdLifeline() error {
	pipe, err := inherited(lifelineFDKey)
	if pipe == nil || err != nil { // a host may offer none
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, pipe)
		fmt.Fprintln(os.Stderr, "the host is gone: the plugin ends")
		killStrays(os.Getenv(groupKey))
		if pid := os.Getpid(); unix.Getpgrp() == pid {
			_ = unix.Kill(-pid, syscall.SIGKILL)
		}
		os.Exit(1)
	}()
	return nil
}

// inherited returns the file whose descriptor the host names in a variable, nil
// where it names none. Programs that the plugin starts do not get it.
func inherited(key string) (*os.File, error) {
	value := os.Getenv(key)
	if value == "" {
		return nil, nil
	}
	fd, err := strconv.Atoi(value)
	if err != nil || fd < 3 {
		return nil, adapters.Errorf(adapters.Invalid, "%s is %q, want a file descriptor", key, value)
	}
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), key), nil
}
