package host

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
	"github.com/modular-bridging/bridge/internal/loglevel"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// exitGrace is how long the host waits, after a connection has broken, for the process to
// end.
const exitGrace = 2 * time.Second

// instance is one running process with its model loaded. It is never restarted:
// [Process] replaces it.
type instance struct {
	cfg    *Config
	client *goplugin.Client
	runner *runnerProcess
	log    *pluginLog
	dir    *wire.SocketDir
	arenas *arenas // nil if tensors go through gRPC

	attached *grpc.ClientConn // to a process that the host has not started; then client, runner and dir are nil

	rpc          pb.AdapterClient
	abandoned    atomic.Bool // a call was abandoned, and the plugin may still work on it
	version      string
	capabilities []string
	spec         *pb.ModelSpec
}

// launch starts a process and loads the model. An error of kind Unavailable means that the
// process died. After any other error another attempt is useless.
func launch(ctx context.Context, cfg *Config) (*instance, error) {
	i := &instance{cfg: cfg, log: &pluginLog{log: cfg.Logger}, version: cfg.Version}
	begin := i.start
	if cfg.attached != nil {
		begin = func(context.Context) error { return i.attach() }
	}
	err := begin(ctx)
	if err == nil {
		err = i.load(ctx)
	}
	if err == nil {
		err = i.accept()
	}
	if err == nil {
		err = i.agreeOnTransport()
	}
	if err != nil {
		i.stop()
		return nil, err
	}
	return i, nil
}

// start runs the process up to the handshake. go-plugin takes no context here, so start
// kills the process when ctx ends.
func (i *instance) start(ctx context.Context) (err error) {
	if i.dir, err = wire.NewSocketDir(); err != nil {
		return adapters.Errorf(adapters.Exhausted, "no folder for the plugin's socket: %w", err).WithOp("start")
	}
	if err := i.cfg.Running.add(i.dir, nil); err != nil {
		return err
	}
	identity, certificate, err := clientIdentity()
	if err != nil {
		return adapters.Errorf(adapters.Internal, "no certificate for the host: %w", err).WithOp("start")
	}
	if err := i.createArenas(); err != nil {
		return err
	}
	connected := make(chan error, 1)
	started := make(chan struct{})
	i.client = goplugin.NewClient(i.clientConfig(identity, certificate, sync.OnceFunc(func() {
		i.arenas.closeChildFiles()
		if i.cfg.Running.add(i.dir, i.runner) != nil { // Running.Kill was called during the start
			_ = i.runner.Kill(context.Background())
		}
		close(started)
	})))
	go func() {
		protocol, err := i.client.Client()
		if err == nil {
			var raw any
			if raw, err = protocol.Dispense(wire.ServiceName); err == nil {
				i.rpc = raw.(pb.AdapterClient)
			}
		}
		connected <- err
	}()
	select {
	case err := <-connected:
		return i.explainStart(ctx, err)
	case <-ctx.Done():
	}
	select {
	case <-started:
		_ = i.runner.Kill(context.Background())
	case <-connected:
		return i.explainStart(ctx, ctx.Err())
	}
	<-connected
	return i.explainStart(ctx, ctx.Err())
}

// clientConfig returns go-plugin's configuration. onStart is called when the process runs.
func (i *instance) clientConfig(identity *tls.Config, certificate []byte, onStart func()) *goplugin.ClientConfig {
	return &goplugin.ClientConfig{
		HandshakeConfig:  wire.Handshake(),
		VersionedPlugins: i.cfg.versions,
		RunnerFunc: func(_ hclog.Logger, spec *exec.Cmd, _ string) (runner.Runner, error) {
			i.runner = newRunner(i.cfg, i.dir.Work(), i.log, i.arenas, append(spec.Env, wire.ClientCertificateKey+"="+string(certificate)), onStart)
			return i.runner, nil
		},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		TLSConfig:        identity,
		SkipHostEnv:      true,
		StartTimeout:     startWindows*i.cfg.StartTimeout + time.Minute, // watchStartTimeout ends the process earlier
		Stderr:           i.log,
		SyncStdout:       i.log, // for plugins whose SDK keeps go-plugin's redirection
		SyncStderr:       i.log,
		Logger:           hclog.NewNullLogger(), // errors have what matters
		UnixSocketConfig: &goplugin.UnixSocketConfig{TempDir: i.dir.Path},
		GRPCDialOptions:  i.cfg.dialOptions(),
	}
}

// dialOptions returns the options of the connection to a plugin.
func (c *Config) dialOptions() []grpc.DialOption {
	all := []grpc.DialOption{
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(wire.MaxMessageBytes), grpc.MaxCallSendMsgSize(wire.MaxMessageBytes)),
		grpc.WithIdleTimeout(0), // keep one connection, because the plugin proves its identity once
	}
	if c.Logger.Enabled(context.Background(), loglevel.Trace) {
		all = append(all, grpc.WithStatsHandler(&tracer{c.Logger}))
	}
	if c.Watch != nil {
		all = append(all, grpc.WithStatsHandler(c.Watch))
	}
	return all
}

// explainStart returns the error for a start that failed with err, or nil if err is nil.
func (i *instance) explainStart(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var refused *adapters.Error
	if errors.As(err, &refused) { // by Prepare
		return refused
	}
	processErr := i.processError("start")
	processErr.Err = err
	kind, message, remedy := adapters.Unavailable, "the plugin failed to start", ""
	switch {
	case ctx.Err() != nil:
		kind, message = adapters.Canceled, ctx.Err().Error()
		processErr.Err = ctx.Err()
	case i.runner == nil || i.runner.cmd.Process == nil:
		kind, message = adapters.NotFound, "the plugin's program cannot be run: "+err.Error()
		if fact, advice := execerr.Explain(i.cfg.Path, err); fact != "" {
			message, remedy = "the plugin's program cannot be run: "+fact, advice
		}
	case i.runner.handshakeError() != nil:
		return i.refused(i.runner.handshakeError(), processErr)
	default:
		_ = i.runner.Kill(context.Background())
		<-i.runner.done
		dialErr := processErr.Err
		if processErr = i.processError("start"); i.runner.hasHandshake() { // otherwise go-plugin's error only follows from the end of the process
			processErr.Err = dialErr
		} else if i.runner.remedy() == "" {
			message += ": it exited before the handshake"
		}
		remedy = cmp.Or(i.runner.remedy(), processErr.remedy())
	}
	return &adapters.Error{Kind: kind, Op: "start", Message: message, Remedy: remedy, Err: processErr}
}

// refused returns the error for a plugin that the host refuses for a reason.
func (i *instance) refused(reason error, processErr *ProcessError) error {
	var why *adapters.Error
	if !errors.As(reason, &why) {
		return reason
	}
	processErr.Err, processErr.Exit = nil, "" // the host kills it
	return &adapters.Error{Kind: why.Kind, Op: "start", Message: why.Message, Remedy: why.Remedy, Err: processErr}
}

// load runs the Load RPC to its end.
func (i *instance) load(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := i.rpc.Load(withoutDeadline{ctx}, wire.EncodeLoadRequest(i.cfg.Family, &i.cfg.Load))
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
		err = wire.ProtocolErrorf("load ended without a spec")
	}
	return i.explain(ctx, "Load", "load", err)
}

func (i *instance) loadEvent(event *pb.LoadEvent) (loaded bool, err error) {
	switch part := event.Part.(type) {
	case *pb.LoadEvent_Hello:
		i.version, i.capabilities = sanitize(part.Hello.Version), part.Hello.Capabilities
	case *pb.LoadEvent_Progress:
		i.cfg.Load.Report(part.Progress.Stage, part.Progress.Done, part.Progress.Total)
	case *pb.LoadEvent_Failure:
		return false, decodeFailure(part.Failure, i.processError("Load"))
	case *pb.LoadEvent_Spec:
		if err := checkSpec(part.Spec); err != nil {
			return false, err
		}
		i.spec = part.Spec
		return true, nil
	}
	return false, nil // an event of a newer plugin
}

// accept passes the plugin's description of itself to Config.Accept.
func (i *instance) accept() error {
	if i.cfg.Accept == nil {
		return nil
	}
	identity := Identity{Version: strings.TrimPrefix(i.version, wire.UnknownVersion), Protocol: i.protocol()}
	for _, c := range i.spec.Capabilities {
		identity.Capabilities = append(identity.Capabilities, adapters.Capability(c))
	}
	if err := i.cfg.Accept(identity); err != nil {
		return i.refused(err, i.processError("Load"))
	}
	return nil
}

// protocol returns the major version that both sides speak.
func (i *instance) protocol() int {
	if i.cfg.attached != nil {
		return i.cfg.attached.ProtocolVersion
	}
	return i.client.NegotiatedVersion()
}

// processError returns the source of an error, with the process's last lines so far.
func (i *instance) processError(rpc string) *ProcessError {
	if i.runner != nil {
		i.runner.catchUp()
	}
	e := &ProcessError{Plugin: i.cfg.Name, Version: i.version, RPC: rpc, Stderr: i.log.lines()}
	e.Exit, _ = i.ended()
	return e
}

// ended returns whether and how the process has ended. A process that somebody else has
// started counts as running.
func (i *instance) ended() (exit string, dead bool) {
	if i.runner == nil {
		return "", false
	}
	return i.runner.ended()
}

// explain turns the error of an RPC into an [adapters.Error]. Kind Unavailable means that
// the process is dead: if it runs and cannot be reached, explain kills it first.
func (i *instance) explain(ctx context.Context, rpc, op string, err error) error {
	var answered *adapters.Error
	var own *emitError
	if errors.As(err, &own) || errors.As(err, &answered) {
		return err
	}
	if cause := ctx.Err(); cause != nil {
		i.abandoned.Store(true)
		processErr := i.processError(rpc)
		processErr.Err = cause
		return &adapters.Error{Kind: adapters.Canceled, Op: op, Message: cause.Error(), Err: processErr}
	}
	var broken *wire.ProtocolError
	if errors.As(err, &broken) {
		return contractError(op, err, i.processError(rpc))
	}
	if i.attached != nil && status.Code(err) == codes.Unavailable {
		return i.unreachable(rpc, op, err)
	}
	if i.attached == nil && i.died(status.Code(err)) {
		processErr := i.processError(rpc)
		return &adapters.Error{Kind: adapters.Unavailable, Op: op, Message: "the plugin died", Remedy: cmp.Or(i.runner.remedy(), processErr.remedy()), Err: processErr}
	}
	kind, remedy := adapters.Internal, ""
	switch status.Code(err) {
	case codes.ResourceExhausted:
		kind, remedy = adapters.Exhausted, "use a smaller batch or shorter texts"
	case codes.Unimplemented:
		kind, remedy = adapters.Unsupported, "use a newer version of the plugin"
	}
	return &adapters.Error{Kind: kind, Op: op, Message: sanitize(status.Convert(err).Message()), Remedy: remedy, Err: i.processError(rpc)}
}

// died reports whether the process is dead. After an error that a death may have caused, it
// waits a little for the end of the process.
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

// stopGrace is how long a plugin may take to end when it is asked to. abortGrace is the
// shorter time for a plugin that may still compute a call which was abandoned.
const (
	stopGrace  = 2 * time.Second
	abortGrace = 500 * time.Millisecond
)

// stop shuts the process down, kills it after the grace, and removes its folder. It may be
// called again.
func (i *instance) stop() {
	i.arenas.close()
	if i.attached != nil {
		_ = i.attached.Close()
		return
	}
	if i.runner != nil {
		grace := stopGrace
		if i.abandoned.Load() {
			grace = abortGrace
		}
		// go-plugin limits the time after the answer to its Shutdown, but not the time
		// until that answer.
		force := time.AfterFunc(grace, func() { _ = i.runner.Kill(context.Background()) })
		defer force.Stop()
	}
	if i.client != nil {
		i.client.Kill()
	}
	if i.runner != nil && i.runner.cmd.Process != nil {
		_ = i.runner.Kill(context.Background())
		select { // so that no process is left when stop returns
		case <-i.runner.done:
		case <-time.After(exitGrace): // it hangs in the kernel
		}
	}
	if i.dir != nil {
		i.dir.Remove()
		i.cfg.Running.remove(i.dir)
	}
}
