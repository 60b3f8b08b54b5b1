package plugins

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/execerr"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

// exitGrace is how long a broken connection may wait for the news that the
// process behind it has died.
const exitGrace = 2 * time.Second

// instance is one running process with its model loaded. It is never restarted:
// [Process] replaces it.
type instance struct {
	cfg    *Config
	client *goplugin.Client
	runner *runnerProcess
	log    *plugLog
	sock   *socketDir
	arenas *hostArenas // nil: tensors travel as chunks

	attached *grpc.ClientConn // to a process that somebody else has started; then client, runner and sock are nil

	rpc          pb.AdapterClient
	givenUp      atomic.Bool // a call was given up, and may still be computed
	version      string
	capabilities []string
	spec         *pb.ModelSpec
}

// launch starts a process and loads the model. An error of kind Unavailable
// means that the process died, any other that there is no point in a repeat.
func launch(ctx context.Context, cfg *Config) (*instance, error) {
	i := &instance{cfg: cfg, log: &plugLog{log: cfg.Logger}, version: cfg.Version}
	begin := i.start
	if cfg.attached != nil {
		begin = func(context.Context) error { return i.attach() }
	}
	err := begin(ctx)
	if err == nil {
		err = i.load(ctx)
	}
	if err == nil {
		err = i.accepted()
	}
	if err == nil {
		err = i.agreeTransport()
	}
	if err != nil {
		i.stop()
		return nil, err
	}
	return i, nil
}

// start runs the process up to the handshake. go-plugin knows no context here:
// when ctx ends, the process is killed under it.
func (i *instance) start(ctx context.Context) (err error) {
	if i.sock, err = newSocketDir(); err != nil {
		return adapters.Errorf(adapters.Exhausted, "no folder for the plugin's socket: %w", err).WithOp("start")
	}
	if err := i.cfg.Running.add(i.sock, nil); err != nil {
		return err
	}
	identity, certificate, err := clientIdentity()
	if err != nil {
		return adapters.Errorf(adapters.Internal, "no certificate for the host: %w", err).WithOp("start")
	}
	if err := i.offerArenas(); err != nil {
		return err
	}
	started := make(chan error, 1)
	begun := make(chan struct{})
	i.client = goplugin.NewClient(i.clientConfig(identity, certificate, sync.OnceFunc(func() {
		i.arenas.started()
		if i.cfg.Running.add(i.sock, i.runner) != nil { // it came to life while all others were killed
			_ = i.runner.Kill(context.Background())
		}
		close(begun)
	})))
	go func() {
		protocol, err := i.client.Client()
		if err == nil {
			var raw any
			if raw, err = protocol.Dispense(serviceName); err == nil {
				i.rpc = raw.(pb.AdapterClient)
			}
		}
		started <- err
	}()
	select {
	case err := <-started:
		return i.explainStart(ctx, err)
	case <-ctx.Done():
	}
	select {
	case <-begun:
		_ = i.runner.Kill(context.Background())
	case <-started:
		return i.explainStart(ctx, ctx.Err())
	}
	<-started
	return i.explainStart(ctx, ctx.Err())
}

// clientConfig configures go-plugin; begun is called when there is a process.
func (i *instance) clientConfig(identity *tls.Config, certificate []byte, begun func()) *goplugin.ClientConfig {
	return &goplugin.ClientConfig{
		HandshakeConfig:  handshake(),
		VersionedPlugins: i.cfg.versions,
		RunnerFunc: func(_ hclog.Logger, spec *exec.Cmd, _ string) (runner.Runner, error) {
			i.runner = newRunner(i.cfg, i.sock.work(), i.log, i.arenas, append(spec.Env, clientCertKey+"="+string(certificate)), begun)
			return i.runner, nil
		},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		TLSConfig:        identity,
		SkipHostEnv:      true,
		StartTimeout:     startWindows*i.cfg.StartTimeout + time.Minute, // watchStart comes first
		Stderr:           i.log,
		SyncStdout:       i.log, // of plugins whose SDK leaves go-plugin's redirection in place
		SyncStderr:       i.log,
		Logger:           hclog.NewNullLogger(), // what matters of it stands in errors
		UnixSocketConfig: &goplugin.UnixSocketConfig{TempDir: i.sock.path},
		GRPCDialOptions:  i.cfg.dialOptions(),
	}
}

// dialOptions are those of the connection to a plugin.
func (c *Config) dialOptions() []grpc.DialOption {
	all := []grpc.DialOption{
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageBytes), grpc.MaxCallSendMsgSize(maxMessageBytes)),
		grpc.WithIdleTimeout(0), // one connection as long as the process: it is checked once who is there
	}
	if c.Logger.Enabled(context.Background(), LevelTrace) {
		all = append(all, grpc.WithStatsHandler(&tracer{c.Logger}))
	}
	if c.Watch != nil {
		all = append(all, grpc.WithStatsHandler(c.Watch))
	}
	return all
}

// explainStart says why there is no connection.
func (i *instance) explainStart(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var refused *adapters.Error
	if errors.As(err, &refused) { // by Prepare
		return refused
	}
	where := i.where("start")
	where.Err = err
	kind, message, remedy := adapters.Unavailable, "the plugin does not start", ""
	switch {
	case ctx.Err() != nil:
		kind, message = adapters.Canceled, ctx.Err().Error()
		where.Err = ctx.Err()
	case i.runner == nil || i.runner.cmd.Process == nil:
		kind, message = adapters.NotFound, "the plugin's program cannot be run: "+err.Error()
		if fact, advice := execerr.Explain(i.cfg.Path, err); fact != "" {
			message, remedy = "the plugin's program cannot be run: "+fact, advice
		}
	case i.runner.refused() != nil:
		return i.refused(i.runner.refused(), where)
	default:
		_ = i.runner.Kill(context.Background())
		<-i.runner.done
		connected := where.Err
		if where = i.where("start"); i.runner.hasGreeted() { // else go-plugin's words are of its own doing
			where.Err = connected
		} else if i.runner.remedy() == "" {
			message += ": it ended without a handshake"
		}
		remedy = cmp.Or(i.runner.remedy(), where.advice())
	}
	return &adapters.Error{Kind: kind, Op: "start", Message: message, Remedy: remedy, Err: where}
}

// refused is the error for a handshake that is not to be used.
func (i *instance) refused(reason error, where *ProcessError) error {
	var why *adapters.Error
	if !errors.As(reason, &why) {
		return reason
	}
	where.Err, where.Exit = nil, "" // who is refused is killed
	return &adapters.Error{Kind: why.Kind, Op: "start", Message: why.Message, Remedy: why.Remedy, Err: where}
}

// load runs the Load RPC to its end.
func (i *instance) load(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := i.rpc.Load(undated{ctx}, loadToWire(i.cfg.Family, &i.cfg.Load))
	for err == nil {
		var event *pb.LoadEvent
		if event, err = stream.Recv(); err == nil {
			var loaded bool
			if loaded, err = i.loadEvent(event); loaded {
				return nil
			}
		}
	}
	if errors.Is(err, io.EOF) {
		err = protocolErrorf("load ended without a spec")
	}
	return i.explain(ctx, "Load", "load", err)
}

func (i *instance) loadEvent(event *pb.LoadEvent) (loaded bool, err error) {
	switch part := event.Part.(type) {
	case *pb.LoadEvent_Hello:
		i.version, i.capabilities = theirs(part.Hello.Version), part.Hello.Capabilities
	case *pb.LoadEvent_Progress:
		i.cfg.Load.Report(part.Progress.Stage, part.Progress.Done, part.Progress.Total)
	case *pb.LoadEvent_Failure:
		return false, failureFromWire(part.Failure, i.where("Load"))
	case *pb.LoadEvent_Spec:
		if err := checkSpec(part.Spec); err != nil {
			return false, err
		}
		i.spec = part.Spec
		return true, nil
	}
	return false, nil // an event of a newer plugin
}

// accepted asks the host whether the plugin is what it was taken for.
func (i *instance) accepted() error {
	if i.cfg.Accept == nil {
		return nil
	}
	said := Said{Version: strings.TrimPrefix(i.version, unknownVersion), Protocol: i.protocol()}
	for _, c := range i.spec.Capabilities {
		said.Capabilities = append(said.Capabilities, adapters.Capability(c))
	}
	if err := i.cfg.Accept(said); err != nil {
		return i.refused(err, i.where("Load"))
	}
	return nil
}

// protocol is the major that both sides speak.
func (i *instance) protocol() int {
	if i.cfg.attached != nil {
		return i.cfg.attached.ProtocolVersion
	}
	return i.client.NegotiatedVersion()
}

// where says where an error comes from, and what the process has said so far.
func (i *instance) where(rpc string) *ProcessError {
	if i.runner != nil {
		i.runner.catchUp()
	}
	e := &ProcessError{Plugin: i.cfg.Name, Version: i.version, RPC: rpc, Stderr: i.log.lines()}
	e.Exit, _ = i.ended()
	return e
}

// ended returns how the process ended, and whether it has. Of one that somebody
// else has started nothing is known.
func (i *instance) ended() (exit string, dead bool) {
	if i.runner == nil {
		return "", false
	}
	return i.runner.ended()
}

// explain turns the error of an RPC into one of package adapters. Kind
// Unavailable says that the process is dead: if it is alive and cannot be
// reached, it is killed first.
func (i *instance) explain(ctx context.Context, rpc, op string, err error) error {
	var answered *adapters.Error
	var own *emitError
	if errors.As(err, &own) || errors.As(err, &answered) {
		return err
	}
	if cause := ctx.Err(); cause != nil {
		i.givenUp.Store(true)
		where := i.where(rpc)
		where.Err = cause
		return &adapters.Error{Kind: adapters.Canceled, Op: op, Message: cause.Error(), Err: where}
	}
	var broken *protocolError
	if errors.As(err, &broken) {
		return brokenContract(op, err, i.where(rpc))
	}
	if i.attached != nil && status.Code(err) == codes.Unavailable {
		return i.gone(rpc, op, err)
	}
	if i.attached == nil && i.died(status.Code(err)) {
		where := i.where(rpc)
		return &adapters.Error{Kind: adapters.Unavailable, Op: op, Message: "the plugin died", Remedy: cmp.Or(i.runner.remedy(), where.advice()), Err: where}
	}
	kind, remedy := adapters.Internal, ""
	switch status.Code(err) {
	case codes.ResourceExhausted:
		kind, remedy = adapters.Exhausted, "use a smaller batch or shorter texts"
	case codes.Unimplemented:
		kind, remedy = adapters.Unsupported, "use a newer version of the plugin"
	}
	return &adapters.Error{Kind: kind, Op: op, Message: theirs(status.Convert(err).Message()), Remedy: remedy, Err: i.where(rpc)}
}

// died waits a little for the news of a death that a broken connection announces.
func (i *instance) died(code codes.Code) bool {
	switch code {
	case codes.ResourceExhausted, codes.Unimplemented:
		return false
	case codes.Unavailable:
		select {
		case <-i.runner.done:
		case <-time.After(exitGrace):
			_ = i.runner.Kill(context.Background())
			<-i.runner.done
		}
		return true
	}
	select {
	case <-i.runner.done:
		return true
	case <-time.After(exitGrace / 10):
		return false
	}
}

// stopGrace is how long a plugin has to end by itself; hurriedGrace is that of
// one that was computing when the host gave up, and has nothing to lose.
const (
	stopGrace    = 2 * time.Second
	hurriedGrace = 500 * time.Millisecond
)

// stop shuts the process down, by force after the grace, and removes what it
// leaves behind. It may be called again.
func (i *instance) stop() {
	i.arenas.close()
	if i.attached != nil {
		_ = i.attached.Close()
		return
	}
	if i.runner != nil {
		grace := stopGrace
		if i.givenUp.Load() {
			grace = hurriedGrace
		}
		// go-plugin has a limit for the time after its Shutdown was answered, and
		// none for the answer.
		force := time.AfterFunc(grace, func() { _ = i.runner.Kill(context.Background()) })
		defer force.Stop()
	}
	if i.client != nil {
		i.client.Kill()
	}
	if i.runner != nil && i.runner.cmd.Process != nil {
		_ = i.runner.Kill(context.Background())
		select { // who ends after this leaves no process
		case <-i.runner.done:
		case <-time.After(exitGrace): // it hangs in the kernel
		}
	}
	if i.sock != nil {
		i.sock.remove()
		i.cfg.Running.remove(i.sock)
	}
}
