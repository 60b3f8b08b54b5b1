package serve

import (
	"context"
	"log/slog"
	"path"
	"path/filepath"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/serve/config"
	"github.com/modular-bridging/bridge/workspace"
)

// Command is what the command line says.
type Command struct {
	Models                        []string // "MODEL" or "NAME=MODEL"
	Address                       string   // empty: the configuration's
	Config                        string   // file; empty: none
	Check                         bool
	Backend, Isolation, Transport string
}

// FromCommand returns the server of a command line.
func FromCommand(w *workspace.Workspace, log *slog.Logger, o Command) (*Server, error) {
	c := config.Default()
	for _, m := range o.Models {
		b, err := bridgeOf(m)
		if err != nil {
			return nil, err
		}
		b.Backend, b.Isolation, b.Transport = o.Backend, o.Isolation, o.Transport
		c.Bridges = append(c.Bridges, b)
	}
	if o.Address != "" {
		c.Address = o.Address
	}
	if err := c.Keys.ReadEnvironment(); err != nil {
		return nil, err
	}
	return New(Options{Workspace: w, Config: c, Log: log}), nil
}

// bridgeOf reads "MODEL" or "NAME=MODEL". A MODEL's name is its last part: no client learns where
// it is on this machine.
func bridgeOf(text string) (config.Bridge, error) {
	name, model, named := strings.Cut(text, "=")
	if !named || strings.ContainsAny(name, `/\:`) {
		model = text
		name = path.Base(filepath.ToSlash(filepath.Clean(text)))
		if strings.HasPrefix(text, "kit:") {
			name = text
		}
	}
	if name == "" || name == "." || name == ".." || model == "" {
		return config.Bridge{}, adapters.Errorf(adapters.Invalid, "the model %q has no name", text).WithRemedy("write NAME=MODEL")
	}
	return config.Bridge{Name: name, Model: model}, nil
}

// Serve listens, loads all bridges and serves until ctx ends. ready is called with the server's
// URL when the bridges are loaded.
func (s *Server) Serve(ctx context.Context, ready func(url string)) error {
	l, err := s.Listen()
	if err != nil {
		return err
	}
	running := make(chan error, 1)
	go func() { running <- s.Run(ctx, l) }()
	if err := s.Load(ctx); err != nil && ctx.Err() == nil {
		l.Close()
		<-running
		return err
	}
	if ctx.Err() == nil {
		ready("http://" + l.Addr().String())
	}
	return <-running
}
