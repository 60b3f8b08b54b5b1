package serve

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/modular-bridging/bridge/serve/config"
	"github.com/modular-bridging/bridge/workspace"
)

// Command has the arguments and flags of the command line.
type Command struct {
	Models                        []string // "MODEL" or "NAME=MODEL"
	Address                       string   // empty: the configuration's
	Config                        string   // file; empty: none
	Check                         bool
	Backend, Isolation, Transport string
}

// Checked describes a bridge that [Check] has loaded.
type Checked struct {
	Name, Encoder, LLM string
	Memory             int64 // estimated bytes of all that are loaded so far
}

// Check reads the configuration of a command line and loads all bridges. It calls each with every
// bridge.
func Check(ctx context.Context, w *workspace.Workspace, log *slog.Logger, o Command, each func(Checked)) error {
	s, err := FromCommand(w, log, o)
	if err != nil {
		return err
	}
	defer s.Close()
	for _, name := range s.fleet.Names() {
		lease, err := s.fleet.Acquire(ctx, name)
		if err != nil {
			return fmt.Errorf("model %s: %w", name, err)
		}
		each(Checked{name, lease.Vision.Spec().ID, lease.Language.Spec().ID, s.fleet.Counts().Memory})
		lease.Release()
	}
	return nil
}

// FromCommand returns the server of a command line.
func FromCommand(w *workspace.Workspace, log *slog.Logger, o Command) (*Server, error) {
	c, err := o.configuration()
	if err != nil {
		return nil, err
	}
	s := New(Options{Workspace: w, Config: c, Log: log})
	s.reread = o.configuration
	return s, nil
}

// configuration reads the configuration file, if there is one, and adds what the command line says.
func (o Command) configuration() (c config.Config, err error) {
	if o.Config == "" {
		c = config.Default()
		err = c.Keys.ReadEnvironment(config.KeysVariable)
	} else {
		c, err = config.Read(o.Config)
	}
	if err != nil {
		return c, err
	}
	if o.Address != "" {
		c.Address = o.Address
	}
	for i := range c.Bridges {
		o.complete(&c.Bridges[i])
	}
	for _, m := range o.Models {
		b, err := bridgeOf(m)
		if err != nil {
			return c, err
		}
		if slices.ContainsFunc(c.Bridges, func(other config.Bridge) bool { return other.Name == b.Name }) {
			return c, workspace.OptionErrorf("two models have the name %q, want names of their own: write NAME=MODEL", b.Name)
		}
		o.complete(&b)
		c.Bridges = append(c.Bridges, b)
	}
	if len(c.Bridges) == 0 {
		return c, workspace.OptionErrorf("there is no model to serve, want at least one MODEL, or a table of models in the file of --config")
	}
	return c, c.CheckAddress()
}

// complete sets what a bridge's table in the file does not say.
func (o Command) complete(b *config.Bridge) {
	b.Backend = cmp.Or(b.Backend, o.Backend)
	b.Isolation = cmp.Or(b.Isolation, o.Isolation)
	b.Transport = cmp.Or(b.Transport, o.Transport)
}

// bridgeOf reads "MODEL" or "NAME=MODEL". A MODEL's name is its last part, or that of the run whose
// bridge it is: no client learns where it is on this machine.
func bridgeOf(text string) (config.Bridge, error) {
	name, model, named := strings.Cut(text, "=")
	if !named || strings.ContainsAny(name, `/\:`) {
		model = text
		dir := filepath.ToSlash(filepath.Clean(text))
		if name = path.Base(dir); name == "bridge" { // of a run
			name = path.Base(path.Dir(dir))
		}
		if strings.HasPrefix(text, "kit:") {
			name = text
		}
	}
	if name == "" || name == "." || name == ".." || name == "/" || model == "" {
		return config.Bridge{}, workspace.OptionErrorf("the model %q has no name, want NAME=MODEL", text)
	}
	return config.Bridge{Name: name, Model: model}, nil
}

// Serve listens, loads all bridges and serves until ctx ends. ready is called with a
// URL of the server when the bridges are loaded. On SIGHUP the configuration is read again.
func (s *Server) Serve(ctx context.Context, ready func(url string)) error {
	l, err := s.Listen()
	if err != nil {
		return err
	}
	hangup := make(chan os.Signal, 1) // from now on, since SIGHUP ends a program that does not take it
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	running := make(chan error, 1)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() { running <- s.Run(ctx, l) }()
	if err := s.Load(ctx); err != nil && ctx.Err() == nil {
		stop()
		<-running
		return err
	}
	s.warmUp(ctx)
	if ctx.Err() == nil {
		ready(pageURL(l.Addr()))
	}
	for {
		select {
		case err := <-running:
			return err
		case <-hangup:
			s.Reload(ctx)
		}
	}
}

// pageURL returns a URL of the server that a browser on this machine can open. A server that listens
// on all addresses is named by its loopback address.
func pageURL(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return "http://" + a.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}
