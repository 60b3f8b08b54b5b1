package host

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// Process is a plugin with its model loaded. If the process dies, Process starts it again
// and repeats the requests that were lost.
type Process struct {
	cfg     Config
	spec    *pb.ModelSpec
	version string // as the plugin reported it

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	sem    chan struct{} // of size 1: guards current and deaths

	current *instance // nil after a death
	deaths  int       // in a row, without a request that succeeded

	closeOnce sync.Once
}

// Launch starts a plugin and loads its model. The caller closes the process, or the adapter
// that [Process.Vision] or [Process.Language] returns.
func Launch(ctx context.Context, cfg Config) (*Process, error) {
	cfg, err := cfg.resolve()
	if err != nil {
		return nil, err
	}
	p := &Process{cfg: cfg, sem: make(chan struct{}, 1)}
	if p.current, err = launch(ctx, &p.cfg); err != nil {
		return nil, err
	}
	p.spec, p.version = p.current.spec, p.current.version
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p, nil
}

// Kind returns the kind of the plugin's model.
func (p *Process) Kind() adapters.ModelKind { return adapters.ModelKind(p.spec.Kind) }

// Vision returns the plugin as a vision encoder. Closing it closes p.
func (p *Process) Vision() (adapters.VisionEncoder, error) {
	if p.Kind() != adapters.KindVision {
		return nil, p.wrongKind(adapters.KindVision)
	}
	return &visionClient{process: p, spec: wire.DecodeVisionSpec(p.spec)}, nil
}

// Language returns the plugin as a language model. Closing it closes p.
func (p *Process) Language() (adapters.LanguageModel, error) {
	if p.Kind() != adapters.KindLanguage {
		return nil, p.wrongKind(adapters.KindLanguage)
	}
	return &languageClient{process: p, spec: wire.DecodeLanguageSpec(p.spec)}, nil
}

func (p *Process) wrongKind(want adapters.ModelKind) error {
	err := adapters.Errorf(adapters.Unsupported, "the plugin holds a %s, want a %s", p.spec.Kind, want)
	err.Err = p.processError("Load")
	return err
}

// processError returns the source of an error that does not come from a running process.
func (p *Process) processError(rpc string) *ProcessError {
	return &ProcessError{Plugin: p.cfg.Name, Version: p.version, RPC: rpc}
}

// OpenVision launches a plugin that must be a vision encoder.
func OpenVision(ctx context.Context, cfg Config) (adapters.VisionEncoder, error) {
	return open(ctx, cfg, (*Process).Vision)
}

// OpenLanguage launches a plugin that must be a language model.
func OpenLanguage(ctx context.Context, cfg Config) (adapters.LanguageModel, error) {
	return open(ctx, cfg, (*Process).Language)
}

func open[M any](ctx context.Context, cfg Config, as func(*Process) (M, error)) (M, error) {
	var none M
	p, err := Launch(ctx, cfg)
	if err != nil {
		return none, err
	}
	model, err := as(p)
	if err != nil {
		return none, errors.Join(err, p.Close())
	}
	return model, nil
}

// Close ends the plugin. Calls in flight and later calls fail.
func (p *Process) Close() error {
	p.closeOnce.Do(func() {
		p.cancel()
		p.sem <- struct{}{}
		defer func() { <-p.sem }()
		if p.current != nil {
			p.current.stop()
			p.current = nil
		}
	})
	return nil
}

// attempt makes a request once.
type attempt func(ctx context.Context, i *instance, processError func() *ProcessError) error

// call makes a request. If the process dies, it repeats the request in a new one.
func (p *Process) call(ctx context.Context, name, op string, request attempt) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()

	var attempts []error
	for {
		err := p.try(ctx, name, op, request)
		if p.ctx.Err() != nil && err != nil {
			return &adapters.Error{Kind: adapters.Invalid, Op: op, Message: "the plugin is closed", Err: p.processError(name)}
		}
		if !isDeath(err) {
			return err
		}
		attempts = append(attempts, err)
		if len(attempts) > p.cfg.Restart.Limit {
			return p.repeatedDeath(op, attempts)
		}
		p.cfg.Logger.Warn("the plugin died; it is started again and the request repeated",
			"rpc", name, "death", len(attempts), "of", p.cfg.Restart.Limit+1, "error", err)
	}
}

// isDeath reports whether the request failed because the process died. An adapter in a
// process that runs may return kind Unavailable, too.
func isDeath(err error) bool {
	var emitted *emitError
	var processErr *ProcessError
	return !errors.As(err, &emitted) && adapters.KindOf(err) == adapters.Unavailable &&
		errors.As(err, &processErr) && processErr.Exit != ""
}

func (p *Process) try(ctx context.Context, name, op string, request attempt) error {
	i, err := p.instance(ctx, name, op)
	if err != nil {
		return err
	}
	limited, cancel := p.cfg.withTimeout(ctx)
	defer cancel()
	if err := request(withoutDeadline{limited}, i, func() *ProcessError { return i.processError(name) }); err != nil {
		if limited.Err() != nil && ctx.Err() == nil && i.runner != nil {
			i.runner.kill(p.cfg.Limits.callTimeout())
			<-i.runner.done
			err = limited.Err() // instead of the adapter's error at the end of its time
		}
		err = i.explain(ctx, name, op, err)
		if _, dead := i.ended(); dead {
			p.discard(i)
		}
		return err
	}
	p.succeeded()
	return nil
}

// withTimeout returns the context of one call.
func (c *Config) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.Limits.Call <= 0 || c.attached != nil {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, c.Limits.Call)
}

// withoutDeadline hides a context's deadline from gRPC, which would forward it. The plugin
// could then close its side of the stream before the deadline passes here, which looks like
// a failure. The plugin is canceled when the deadline passes here.
type withoutDeadline struct{ context.Context }

// Deadline reports that there is none.
func (withoutDeadline) Deadline() (time.Time, bool) { return time.Time{}, false }

// repeatedDeath returns the error of a request whose attempts all ended with a death.
func (p *Process) repeatedDeath(op string, attempts []error) error {
	var all []*ProcessError
	remedy := ""
	for _, death := range attempts {
		var processErr *ProcessError
		errors.As(death, &processErr) // isDeath has found it
		all = append(all, processErr)
		var said *adapters.Error
		if errors.As(death, &said) && said.Remedy != "" {
			remedy = said.Remedy
		}
	}
	message := "the plugin died"
	if n := len(all); n > 1 {
		message = fmt.Sprintf("the plugin died %d times in a row at this request", n)
	}
	last := *all[len(all)-1]
	last.earlier = all[:len(all)-1]
	return &adapters.Error{Kind: adapters.Unavailable, Op: op, Message: message, Remedy: remedy, Err: &last}
}

// instance returns the running process, and starts a new one if it has died.
func (p *Process) instance(ctx context.Context, rpc, op string) (*instance, error) {
	if err := p.acquire(ctx, rpc, op); err != nil {
		return nil, err
	}
	defer p.release()
	if p.current != nil {
		exit, dead := p.current.ended()
		if !dead {
			return p.current, nil
		}
		p.cfg.Logger.Warn("the plugin died between two requests; it is started again", "exit", exit)
		p.dropCurrent()
	}
	select {
	case <-time.After(p.cfg.Restart.delay(p.deaths)):
	case <-ctx.Done():
		return nil, p.canceled(ctx, rpc, op)
	}
	i, err := launch(ctx, &p.cfg)
	if err != nil {
		if adapters.KindOf(err) == adapters.Unavailable {
			p.deaths++
		}
		return nil, err
	}
	if !proto.Equal(i.spec, p.spec) {
		i.stop()
		return nil, (&adapters.Error{
			Kind: adapters.Corrupt, Op: op, Err: p.processError(rpc),
			Message: fmt.Sprintf("the plugin came back with another model: %s, had %s", describe(i.spec), describe(p.spec)),
		}).WithRemedy("do not change the checkpoint while it is in use")
	}
	p.current = i
	return i, nil
}

// discard drops a dead process, unless another call has done so.
func (p *Process) discard(i *instance) {
	p.sem <- struct{}{}
	defer p.release()
	if p.current == i {
		p.dropCurrent()
	}
}

// dropCurrent stops the current process and counts its death. The caller holds sem.
func (p *Process) dropCurrent() {
	p.current.stop()
	p.current = nil
	p.deaths++
}

// succeeded ends a row of deaths.
func (p *Process) succeeded() {
	p.sem <- struct{}{}
	defer p.release()
	p.deaths = 0
}

// acquire locks sem, or returns an error if ctx ends.
func (p *Process) acquire(ctx context.Context, rpc, op string) error {
	select {
	case p.sem <- struct{}{}:
	case <-ctx.Done():
		return p.canceled(ctx, rpc, op)
	}
	if ctx.Err() != nil {
		p.release()
		return p.canceled(ctx, rpc, op)
	}
	return nil
}

func (p *Process) release() { <-p.sem }

// canceled returns the error of a call whose context ended before it was made.
func (p *Process) canceled(ctx context.Context, rpc, op string) error {
	processErr := p.processError(rpc)
	processErr.Err = ctx.Err()
	return &adapters.Error{Kind: adapters.Canceled, Op: op, Message: ctx.Err().Error(), Err: processErr}
}

func describe(s *pb.ModelSpec) string {
	return fmt.Sprintf("%s (%s, width %d, %s)", s.Id, s.Kind, s.Width, s.Digest)
}
