package plugins

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// ProtocolVersion is the version of the plugin protocol that a program with this package
// speaks.
const ProtocolVersion = wire.ProtocolVersion

// ServeConfig says what a plugin serves.
type ServeConfig struct {
	Families []adapters.Family
	Name     string // for logs and errors; empty means the executable's name
	Version  string // empty means the version of the main module
	Debug    bool   // serve even if no host has started the process, see ServeWith
}

// Serve is the body of a plugin's main function. It serves the families to the host that
// started the process, until that host shuts it down or ends, and then ends the process.
// Call it before any code that may print. If the program was started by hand, Serve prints
// its purpose and exits with status 2.
func Serve(families ...adapters.Family) {
	if err := ServeWith(ServeConfig{Families: families}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(0)
}

// ServeWith is [Serve] with more options. It returns when the host shuts the plugin down,
// or at once with an error if the configuration is wrong or no host has started the
// process.
//
// ServeWith changes the process: file descriptor 1 leads to the standard error, SIGINT is
// ignored, and the process (its whole group, if it leads one) ends when the host ends.
//
// An author who starts the program by hand, in a debugger for instance, sets the
// environment variable BRIDGE_DEBUG=1 or cfg.Debug. ServeWith then prints a line with
// BRIDGE_REATTACH for the shell in which bridge will run, and serves one run of bridge
// after another until SIGINT. It does not change descriptor 1 and SIGINT.
func ServeWith(cfg ServeConfig) error {
	if err := cfg.check(); err != nil {
		return err
	}
	if os.Getenv(wire.CookieKey) != wire.CookieValue {
		if cfg.debugRequested() {
			return cfg.serveDebug()
		}
		return adapters.Errorf(adapters.Invalid, "this program is a plugin of bridge and was started by hand").
			WithRemedy("name it by its path in a recipe; to run it in a debugger, set %s=1", wire.DebugKey)
	}
	arenas := mapArenas()
	s := &server{hello: cfg.hello(arenas.capabilities()...), families: cfg.Families, arenas: arenas}
	return errors.Join(serve(wire.Versions(s)), s.close())
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

func (c *ServeConfig) version() string {
	if c.Version != "" {
		return c.Version
	}
	if v := wire.MainVersion(); v != "" {
		return v
	}
	return wire.UnknownVersion
}
