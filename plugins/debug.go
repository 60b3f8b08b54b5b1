package plugins

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// debugRequested reports whether the author has started the program by hand, so that a
// host can attach to it.
func (c *ServeConfig) debugRequested() bool {
	debug, err := strconv.ParseBool(os.Getenv(wire.DebugKey))
	return c.Debug || err == nil && debug
}

// serveDebug prints the variable that a host needs to attach, and serves one host after
// another until SIGINT or SIGTERM. There is neither TLS nor a lifeline; the socket is in a
// folder that no other user can enter.
func (c *ServeConfig) serveDebug() error {
	dir, err := wire.NewSocketDir()
	if err != nil {
		return err
	}
	defer dir.Remove()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	s := &server{hello: c.hello(), families: c.Families}
	impl := wire.Versions(s)
	if err := errors.Join(os.Setenv(goplugin.EnvUnixSocketDir, dir.Path), os.Unsetenv(wire.ClientCertificateKey),
		os.Setenv("PLUGIN_PROTOCOL_VERSIONS", strings.ReplaceAll(strings.Trim(fmt.Sprint(wire.Majors(impl)), "[]"), " ", ","))); err != nil {
		return err
	}
	reachable := make(chan *goplugin.ReattachConfig, 1)
	go func() { printReattach(c.name(), <-reachable) }()
	one := &exclusive{reset: s.reset, changed: make(chan struct{})}
	goplugin.Serve(&goplugin.ServeConfig{
		VersionedPlugins: impl,
		Logger:           hclog.NewNullLogger(), // it logs the end of the server as an error
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return newServer(append(opts, grpc.StatsHandler(one), grpc.StreamInterceptor(one.intercept)))
		},
		Test: &goplugin.ServeTestConfig{Context: ctx, ReattachConfigCh: reachable},
	})
	return s.close()
}

// printReattach prints the variable to set for the host.
func printReattach(name string, c *goplugin.ReattachConfig) {
	text, err := json.Marshal(map[string]wire.Attachment{name: {
		Protocol: string(c.Protocol), ProtocolVersion: c.ProtocolVersion, Pid: c.Pid, Test: true,
		Addr: wire.Address{Network: c.Addr.Network(), String: c.Addr.String()},
	}})
	if err != nil { // strings and numbers always encode
		panic(err)
	}
	quoted := strings.ReplaceAll(string(text), "'", `\u0027`)
	fmt.Printf("Plugin %s is waiting for bridge. In the shell where bridge runs, set\n\n\texport %s='%s'\n\nCtrl-C ends it.\n", name, wire.ReattachKey, quoted)
}

// reset closes the model, so that another can be loaded.
func (s *server) reset() error {
	err := s.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loading = false
	return err
}

// exclusive lets one host after another use a process. The model belongs to the
// connection that loaded it. After that connection has ended, another host can load a
// model, which closes the first one.
type exclusive struct {
	reset func() error // closes the model

	mu      sync.Mutex
	owner   *connection   // whose model is loaded
	calls   int           // of the owner, in flight
	changed chan struct{} // closed and replaced at every change
}

// connection is one connection of a host.
type connection struct{ ended bool }

type connectionKey struct{}

var _ stats.Handler = (*exclusive)(nil)

// handoverTimeout is how long a host waits for the host before it, whose connection may
// still be closing.
const handoverTimeout = 2 * time.Second

// intercept runs a call. A Load waits until the process is free.
func (t *exclusive) intercept(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if !strings.Contains(info.FullMethod, ".Adapter/") {
		return handler(srv, stream)
	}
	c, _ := stream.Context().Value(connectionKey{}).(*connection)
	if strings.HasSuffix(info.FullMethod, "/Load") {
		if err := t.acquire(stream.Context(), c); err != nil {
			return stream.SendMsg(&pb.LoadEvent{Part: &pb.LoadEvent_Failure{Failure: wire.EncodeFailure("load", err)}})
		}
	}
	t.count(+1)
	defer t.count(-1)
	return handler(srv, stream)
}

func (t *exclusive) count(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls += n
	t.notify()
}

// notify wakes the hosts that wait. The caller holds mu.
func (t *exclusive) notify() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// acquire makes c the owner, once the last owner's connection and calls have ended.
func (t *exclusive) acquire(ctx context.Context, c *connection) error {
	timeout := time.After(handoverTimeout)
	for {
		t.mu.Lock()
		changed, running := t.changed, t.owner != nil && !t.owner.ended
		if !running && t.calls == 0 {
			defer t.mu.Unlock()
			t.owner = c
			return t.reset()
		}
		t.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-timeout:
			if running {
				return adapters.Errorf(adapters.Unavailable, "another run of bridge is attached to this process").WithRemedy("wait until it has ended, or end it")
			}
			return adapters.Errorf(adapters.Unavailable, "a call of the last run has not ended: the adapter ignores its context").
				WithRemedy("wait until it has ended, or start the plugin again")
		}
	}
}

// TagConn adds a [connection] to the context of a connection.
func (*exclusive) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	return context.WithValue(ctx, connectionKey{}, &connection{})
}

// HandleConn marks a connection that ends.
func (t *exclusive) HandleConn(ctx context.Context, event stats.ConnStats) {
	if _, over := event.(*stats.ConnEnd); !over {
		return
	}
	if c, ok := ctx.Value(connectionKey{}).(*connection); ok {
		t.mu.Lock()
		defer t.mu.Unlock()
		c.ended = true
		t.notify()
	}
}

// TagRPC returns ctx.
func (*exclusive) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC does nothing.
func (*exclusive) HandleRPC(context.Context, stats.RPCStats) {}
