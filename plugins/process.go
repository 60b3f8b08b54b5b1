package plugins

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

// Process is a plugin with its model loaded, kept alive: where the process
// dies, it is started again and the requests that were lost are repeated.
type Process struct {
	cfg     Config
	spec    *pb.ModelSpec
	version string // as the plugin said

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	gate   chan struct{} // held by whoever reads or replaces current

	current *instance // nil after a death
	deaths  int       // in a row, without a request that succeeded; guarded by gate

	closeOnce sync.Once
}

// Launch starts a plugin and loads its model. The caller closes the process, or
// the adapter that he takes from it.
func Launch(ctx context.Context, cfg Config) (*Process, error) {
	cfg, err := cfg.resolve()
	if err != nil {
		return nil, err
	}
	p := &Process{cfg: cfg, gate: make(chan struct{}, 1)}
	if p.current, err = launch(ctx, &p.cfg); err != nil {
		return nil, err
	}
	p.spec, p.version = p.current.spec, p.current.version
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p, nil
}

// Kind says which of the contracts the plugin satisfies.
func (p *Process) Kind() adapters.ModelKind { return adapters.ModelKind(p.spec.Kind) }

// Vision returns the plugin as a vision encoder. Closing it closes p.
func (p *Process) Vision() (adapters.VisionEncoder, error) {
	if p.Kind() != adapters.KindVision {
		return nil, p.wrongKind(adapters.KindVision)
	}
	return &visionClient{process: p, spec: visionSpecFromWire(p.spec)}, nil
}

// Language returns the plugin as a language model. Closing it closes p.
func (p *Process) Language() (adapters.LanguageModel, error) {
	if p.Kind() != adapters.KindLanguage {
		return nil, p.wrongKind(adapters.KindLanguage)
	}
	return &languageClient{process: p, spec: languageSpecFromWire(p.spec)}, nil
}

func (p *Process) wrongKind(want adapters.ModelKind) error {
	err := adapters.Errorf(adapters.Unsupported, "the plugin holds a %s, want a %s", p.spec.Kind, want)
	err.Err = p.where("Load")
	return err
}

// where says where an error comes from that no running process has to do with.
func (p *Process) where(rpc string) *ProcessError {
	return &ProcessError{Plugin: p.cfg.Name, Version: p.version, RPC: rpc}
}

// OpenVision launches a plugin that is a vision encoder.
func OpenVision(ctx context.Context, cfg Config) (adapters.VisionEncoder, error) {
	return open(ctx, cfg, (*Process).Vision)
}

// OpenLanguage launches a plugin that is a language model.
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

// Close ends the plugin. Calls in flight fail, and so do later ones.
func (p *Process) Close() error {
	p.closeOnce.Do(func() {
		p.cancel()
		p.gate <- struct{}{}
		defer func() { <-p.gate }()
		if p.current != nil {
			p.current.stop()
			p.current = nil
		}
	})
	return nil
}

// rpc is one attempt at a request.
type rpc func(ctx context.Context, i *instance, where func() *ProcessError) error

// call makes a request, in a new process where the one that it was made to died.
func (p *Process) call(ctx context.Context, name, op string, attempt rpc) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()

	var story []error
	for {
		err := p.try(ctx, name, op, attempt)
		if p.ctx.Err() != nil && err != nil {
			return &adapters.Error{Kind: adapters.Invalid, Op: op, Message: "the plugin is closed", Err: p.where(name)}
		}
		if !isDeath(err) {
			return err
		}
		story = append(story, err)
		if len(story) > p.cfg.Restart.Limit {
			return p.giveUp(op, story)
		}
		p.cfg.Logger.Warn("the plugin died; it is started again and the request repeated",
			"rpc", name, "death", len(story), "of", p.cfg.Restart.Limit+1, "error", err)
	}
}

// isDeath reports whether the request failed because the process died, which is
// not what an adapter means by kind Unavailable.
func isDeath(err error) bool {
	var emitted *emitError
	var where *ProcessError
	return !errors.As(err, &emitted) && adapters.KindOf(err) == adapters.Unavailable &&
		errors.As(err, &where) && where.Exit != ""
}

func (p *Process) try(ctx context.Context, name, op string, attempt rpc) error {
	i, err := p.instance(ctx, name, op)
	if err != nil {
		return err
	}
	limited, cancel := p.cfg.limited(ctx)
	defer cancel()
	if err := attempt(undated{limited}, i, func() *ProcessError { return i.where(name) }); err != nil {
		if limited.Err() != nil && ctx.Err() == nil && i.runner != nil {
			i.runner.condemn(p.cfg.Limits.tooSlow())
			<-i.runner.done
			err = limited.Err() // not what the adapter said when its time was over
		}
		err = i.explain(ctx, name, op, err)
		if _, dead := i.ended(); dead {
			p.bury(i)
		}
		return err
	}
	p.succeeded()
	return nil
}

// limited is the context of one call.
func (c *Config) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.Limits.Call <= 0 || c.attached != nil {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, c.Limits.Call)
}

// undated keeps a deadline from gRPC, which would tell it to the plugin: that
// its end of the stream is over may then be heard here before this end is, and
// looks like a failure. The plugin is told when the deadline has come.
type undated struct{ context.Context }

// Deadline has nothing to tell.
func (undated) Deadline() (time.Time, bool) { return time.Time{}, false }

// giveUp tells the whole story, of deaths.
func (p *Process) giveUp(op string, story []error) error {
	var all []*ProcessError
	remedy := ""
	for _, death := range story {
		var where *ProcessError
		errors.As(death, &where) // isDeath has found it
		all = append(all, where)
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
	last.before = all[:len(all)-1]
	return &adapters.Error{Kind: adapters.Unavailable, Op: op, Message: message, Remedy: remedy, Err: &last}
}

// instance returns the running process, started anew where it died.
func (p *Process) instance(ctx context.Context, rpc, op string) (*instance, error) {
	if err := p.enter(ctx, rpc, op); err != nil {
		return nil, err
	}
	defer p.leave()
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
			Kind: adapters.Corrupt, Op: op, Err: p.where(rpc),
			Message: fmt.Sprintf("the plugin came back with another model: %s, had %s", describe(i.spec), describe(p.spec)),
		}).WithRemedy("do not change the checkpoint while it is in use")
	}
	p.current = i
	return i, nil
}

// bury forgets a dead process, if nobody has done so yet.
func (p *Process) bury(i *instance) {
	p.gate <- struct{}{}
	defer p.leave()
	if p.current == i {
		p.dropCurrent()
	}
}

func (p *Process) dropCurrent() {
	p.current.stop()
	p.current = nil
	p.deaths++
}

func (p *Process) succeeded() {
	p.gate <- struct{}{}
	defer p.leave()
	p.deaths = 0
}

func (p *Process) enter(ctx context.Context, rpc, op string) error {
	select {
	case p.gate <- struct{}{}:
	case <-ctx.Done():
		return p.canceled(ctx, rpc, op)
	}
	if ctx.Err() != nil {
		p.leave()
		return p.canceled(ctx, rpc, op)
	}
	return nil
}

func (p *Process) leave() { <-p.gate }

// canceled is the error of a call that was given up before it was made.
func (p *Process) canceled(ctx context.Context, rpc, op string) error {
	where := p.where(rpc)
	where.Err = ctx.Err()
	return &adapters.Error{Kind: adapters.Canceled, Op: op, Message: ctx.Err().Error(), Err: where}
}

func describe(s *pb.ModelSpec) string {
	return fmt.Sprintf("%s (%s, width %d, %s)", s.Id, s.Kind, s.Width, s.Digest)
}
