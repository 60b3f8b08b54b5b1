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
)

// debugKey names the variable that lets a plugin be started by hand.
const debugKey = "BRIDGE_DEBUG"

// byHand reports whether the plugin was started by its author, to be attached to.
func (c *ServeConfig) byHand() bool {
	wanted, err := strconv.ParseBool(os.Getenv(debugKey))
	return c.Debug || err == nil && wanted
}

// serveByAuthor serves one host after the other until SIGINT or SIGTERM, and
// prints what a host needs to attach. There is neither TLS nor a lifeline: the
// socket is in a folder that nobody else can enter.
func (c *ServeConfig) serveByAuthor() error {
	dir, err := newSocketDir()
	if err != nil {
		return err
	}
	defer dir.remove()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	s := &server{hello: c.hello(), families: c.Families, onLoad: func() {}}
	impl := versions(s)
	if err := errors.Join(os.Setenv(goplugin.EnvUnixSocketDir, dir.path), os.Unsetenv("PLUGIN_CLIENT_CERT"),
		os.Setenv("PLUGIN_PROTOCOL_VERSIONS", strings.ReplaceAll(strings.Trim(fmt.Sprint(majors(impl)), "[]"), " ", ","))); err != nil {
		return err
	}
	reachable := make(chan *goplugin.ReattachConfig, 1)
	go func() { announce(c.name(), <-reachable) }()
	turn := &turns{reset: s.reset, changed: make(chan struct{})}
	goplugin.Serve(&goplugin.ServeConfig{
		VersionedPlugins: impl,
		Logger:           hclog.NewNullLogger(), // it calls the end of the server an error
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, grpc.MaxRecvMsgSize(maxMessageBytes), grpc.MaxSendMsgSize(maxMessageBytes),
				grpc.StatsHandler(turn), grpc.StreamInterceptor(turn.serve))...)
		},
		Test: &goplugin.ServeTestConfig{Context: ctx, ReattachConfigCh: reachable},
	})
	return s.close()
}

// announce prints what to set for the host.
func announce(name string, c *goplugin.ReattachConfig) {
	text, err := json.Marshal(map[string]attachment{name: {
		Protocol: string(c.Protocol), ProtocolVersion: c.ProtocolVersion, Pid: c.Pid, Test: true,
		Addr: attachedAddress{c.Addr.Network(), c.Addr.String()},
	}})
	if err != nil { // of strings and numbers
		panic(err)
	}
	quoted := strings.ReplaceAll(string(text), "'", `\u0027`)
	fmt.Printf("Plugin %s waits for bridge. Where bridge is to run, set\n\n\texport %s='%s'\n\nCtrl-C ends it.\n", name, reattachKey, quoted)
}

// reset closes the model, so that another can be loaded.
func (s *server) reset() error {
	err := s.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loading = false
	return err
}

// turns lets one host after the other use a process: the model belongs to the
// connection that has loaded it, and is closed when another host loads one after
// that connection has ended.
type turns struct {
	reset func() error // closes the model

	mu      sync.Mutex
	owner   *connection // whose model is loaded
	calls   int         // of the owner, on their way
	changed chan struct{}
}

type connection struct{ ended bool }

type connectionKey struct{}

var _ stats.Handler = (*turns)(nil)

// handover is how long a host waits for the one before it, whose connection may
// just be ending.
const handover = 2 * time.Second

// serve runs a call; Load waits for the process to be free.
func (t *turns) serve(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if !strings.Contains(info.FullMethod, ".Adapter/") {
		return handler(srv, stream)
	}
	c, _ := stream.Context().Value(connectionKey{}).(*connection)
	if strings.HasSuffix(info.FullMethod, "/Load") {
		if err := t.take(stream.Context(), c); err != nil {
			return stream.SendMsg(&pb.LoadEvent{Part: &pb.LoadEvent_Failure{Failure: failureToWire("load", err)}})
		}
	}
	t.count(+1)
	defer t.count(-1)
	return handler(srv, stream)
}

func (t *turns) count(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls += n
	t.change()
}

// change wakes whoever waits; the caller holds mu.
func (t *turns) change() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// take makes a connection the owner, once the last owner has gone and its calls
// have ended.
func (t *turns) take(ctx context.Context, c *connection) error {
	tooLong := time.After(handover)
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
		case <-tooLong:
			if running {
				return adapters.Errorf(adapters.Unavailable, "another run of bridge is attached to this process").WithRemedy("wait until it has ended, or end it")
			}
			return adapters.Errorf(adapters.Unavailable, "a call of the run before is not over: the adapter has not heeded its context").
				WithRemedy("wait until it is, or start the plugin again")
		}
	}
}

// TagConn gives a connection its identity.
func (*turns) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	return context.WithValue(ctx, connectionKey{}, &connection{})
}

// HandleConn notes the end of a connection.
func (t *turns) HandleConn(ctx context.Context, event stats.ConnStats) {
	if _, over := event.(*stats.ConnEnd); !over {
		return
	}
	if c, ok := ctx.Value(connectionKey{}).(*connection); ok {
		t.mu.Lock()
		defer t.mu.Unlock()
		c.ended = true
		t.change()
	}
}

// TagRPC has nothing to add.
func (*turns) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC has nothing to note.
func (*turns) HandleRPC(context.Context, stats.RPCStats) {}
