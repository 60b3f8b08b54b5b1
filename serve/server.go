package serve

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/netutil"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/serve/batch"
	"github.com/modular-bridging/bridge/serve/config"
	"github.com/modular-bridging/bridge/serve/engine"
	"github.com/modular-bridging/bridge/serve/fleet"
	"github.com/modular-bridging/bridge/serve/pictures"
	"github.com/modular-bridging/bridge/workspace"
)

// Options are what a server needs.
type Options struct {
	Workspace *workspace.Workspace
	Config    config.Config
	Log       *slog.Logger // nil discards
}

// Server serves bridges. Create it with [New], and stop it by ending the context of [Server.Run],
// or with [Server.Close].
type Server struct {
	log       *slog.Logger
	workspace *workspace.Workspace
	config    atomic.Pointer[config.Config]
	fleet     *fleet.Fleet
	engine    *engine.Engine
	pictures  *pictures.Reader
	metrics   *metrics
	bodies    *budget
	draining  atomic.Bool
	started   time.Time
	reread    func() (config.Config, error) // nil: the configuration never changes
}

// New returns a server with the bridges of a configuration, none of which is loaded yet.
func New(o Options) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := o.Config
	s := &Server{log: o.Log, workspace: o.Workspace, started: time.Now(), bodies: newBudget(c.Limits.BodiesBytes)}
	s.config.Store(&c)
	s.engine = engine.New(engine.Options{
		Batch:   batch.Options{Rows: c.Limits.BatchRows, Limit: c.Limits.QueueRows, Fill: c.Limits.Fill},
		Observe: func(b engine.Batch) { s.metrics.batch(b) },
	})
	s.fleet = fleet.New(fleet.Options{Workspace: o.Workspace, Memory: c.Memory, Log: o.Log, Closed: s.engine.Forget})
	s.fleet.Set(entries(c))
	s.pictures = pictures.NewReader(pictureOptions(c))
	s.metrics = newMetrics(s)
	return s
}

// entries returns the fleet's entries of a configuration.
func entries(c config.Config) []fleet.Entry {
	var all []fleet.Entry
	for _, b := range c.Bridges {
		all = append(all, fleet.Entry{Name: b.Name, Model: b.Model, Open: workspace.OpenOptions{
			Backend: b.Backend, Isolation: b.Isolation, Transport: b.Transport, DType: b.DType,
			EncoderPlugin: b.EncoderPlugin, LLMPlugin: b.LLMPlugin, Limits: processLimits(b, c.Limits),
		}})
	}
	return all
}

// processLimits returns the limits of the processes of a bridge's frozen models: a request whose
// process dies is repeated once.
func processLimits(b config.Bridge, l config.Limits) recipes.Limits {
	once := 1
	p := b.Processes
	p.Restarts, p.CallTimeout = &once, l.Call.String()
	return p
}

// pictureOptions returns the settings of the reader of pictures.
func pictureOptions(c config.Config) pictures.Options {
	return pictures.Options{Bytes: int(c.Limits.BodyBytes), Pixels: c.Limits.Pixels, Hosts: c.Hosts, Timeout: c.Limits.Body}
}

// Load opens all bridges. It fails if one cannot be opened.
func (s *Server) Load(ctx context.Context) error {
	var all []error
	for _, err := range s.fleet.Load(ctx) {
		all = append(all, err)
	}
	return errors.Join(all...)
}

// Close closes all bridges. Requests that are being answered fail or end first.
func (s *Server) Close() { s.fleet.Close() }

// Listen opens the address of the configuration.
func (s *Server) Listen() (net.Listener, error) {
	c := s.config.Load()
	if err := c.CheckAddress(); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", c.Address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, adapters.Errorf(adapters.Unavailable, "another program uses the address %s", c.Address).
			WithRemedy("choose another port with --addr, such as --addr 127.0.0.1:8001")
	}
	if err != nil {
		return nil, adapters.Errorf(adapters.Unavailable, "cannot listen on %s: %w", c.Address, err)
	}
	return netutil.LimitListener(l, c.Limits.Connections), nil
}

// httpServer returns the HTTP server of all connections.
func (s *Server) httpServer() *http.Server {
	limits := s.config.Load().Limits
	return &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: limits.Header, IdleTimeout: limits.Idle, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// Run serves on a listener until ctx ends. Then it takes no more requests, finishes those that it
// has within the limit for draining, and closes all bridges.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	limits, h := s.config.Load().Limits, s.httpServer()
	background, stop := context.WithCancel(ctx)
	defer stop()
	if every := s.config.Load().Watch; every > 0 {
		go s.fleet.Watch(background, every)
	}
	ended := make(chan error, 1)
	go func() { ended <- h.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	s.draining.Store(true)
	s.log.Info("draining: no new requests are taken", "at most", limits.Drain)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), limits.Drain)
	defer cancel()
	err := h.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("requests were still being answered at the end of draining")
		err = h.Close()
	}
	s.Close()
	return err
}
