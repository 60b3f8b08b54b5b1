package conformance

import (
	"cmp"
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/plugins/host"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

// T, Info, Result and the verdicts are those of the contract's suite.
type (
	T      = adaptertest.T
	Info   = adaptertest.Info
	Result = adaptertest.Result
)

// Target is the plugin that is examined.
type Target struct {
	// Config says how it starts and what it loads. Its restarts are not used: a
	// process that dies fails the case that it dies in.
	Config host.Config
	// Confine, where not nil, puts every start of the plugin into a sandbox, with
	// folders that it may write to beside the one that it works in. It takes the place
	// of Config's Prepare.
	Confine func(cmd *exec.Cmd, writable ...string) error
	// InProcess, where not nil, is the family that the plugin serves: its cases
	// run in this process, too.
	InProcess *adapters.Family
	// Kind is what the plugin must be; empty where it may be either.
	Kind adapters.ModelKind
	// Manifest says in words how what the plugin says of itself is not what its
	// manifest says; nil where it has none.
	Manifest func(host.Identity) []string
}

// Options say what is run.
type Options struct {
	Contract adaptertest.Options
	Golden   []string       // golden folders
	Run      *regexp.Regexp // of the names of cases; nil runs all
	// Limit is for one case; 0 means 2 minutes.
	Limit time.Duration
	// Patience multiplies the times that the contract gives a plugin, for a slow
	// machine; 0 means 1.
	Patience float64
	// Host is the command line of a program that calls [RunHost]: it is killed, to
	// see whether the plugin goes with it. Without one the kit lets go of the
	// lifeline itself.
	Host []string
	// Began and Ended, where not nil, are called around each case.
	Began func(name string)
	Ended func(Result)
}

// Report says how a plugin did.
type Report struct {
	// Name and Version are as its hello says, whatever was run; of a plugin that
	// says none, as its configuration has them.
	Name    string             `json:"name"`
	Version string             `json:"version"`
	Kind    adapters.ModelKind `json:"kind"`
	Model   string             `json:"model"` // the spec's id; empty where no model was loaded
	Results []Result           `json:"-"`
	Took    time.Duration      `json:"-"`
}

// Count returns how many cases have a verdict.
func (r *Report) Count(v adaptertest.Verdict) (n int) {
	for _, result := range r.Results {
		if result.Verdict == v {
			n++
		}
	}
	return n
}

// OK reports whether something was run and nothing failed.
func (r *Report) OK() bool { return r.Count(adaptertest.Fail) == 0 && r.Count(adaptertest.Pass) > 0 }

// kit is one run.
type kit struct {
	target Target
	o      Options
	report *Report
	shared *guest // that cases share; nil where there is none, or none any more
	// unready counts how often in a row the plugin did not start or load: two such
	// stories are enough.
	unready atomic.Int32
	lost    lost
	model   atomic.Pointer[string] // the id of the last one that was opened
}

// Run examines a plugin. The error says that the run itself did not come to its
// end; what the plugin does wrong stands in the report.
func Run(ctx context.Context, target Target, o Options) (*Report, error) {
	began := time.Now()
	if o.Limit == 0 {
		o.Limit = 2 * time.Minute
	}
	if o.Patience == 0 {
		o.Patience = 1
	}
	if o.Contract.Wait == 0 {
		o.Contract.Wait = o.Limit / 2
	}
	target.Config.Restart.Limit = -1
	if target.Confine != nil {
		target.Config.Prepare = func(cmd *exec.Cmd) error { return target.Confine(cmd) }
	}
	var err error
	if target.Config.Path, err = exec.LookPath(target.Config.Path); err == nil {
		target.Config.Path, err = filepath.Abs(target.Config.Path)
	}
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "%q is no executable: %w", target.Config.Path, err).
			WithRemedy("give the path of the plugin's program; chmod +x if it is there")
	}
	if c := &target.Config.Load.Checkpoint; *c != "" {
		if *c, err = filepath.Abs(*c); err != nil {
			return nil, adapters.Errorf(adapters.NotFound, "checkpoint: %w", err)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends what is still opening
	k := &kit{target: target, o: o, report: &Report{Kind: target.Kind}}
	defer func() { k.report.Took = time.Since(began) }()
	defer k.drop()
	defer k.introduce(ctx)
	for _, c := range processCases() {
		run := func(t T) { c.run(k, t) }
		if name := k.lost.blames(c.needs); name != "" {
			run = needsFailed(name)
		}
		k.attempt(ctx, c.Info, run)
	}
	k.drop()
	k.contract(ctx)
	for _, dir := range o.Golden {
		k.golden(ctx, dir)
	}
	if err := ctx.Err(); err != nil {
		return k.report, adapters.Errorf(adapters.Canceled, "%w", err)
	}
	return k.report, nil
}

// wanted reports whether a case of the name is to be run.
func (k *kit) wanted(name string) bool { return k.o.Run == nil || k.o.Run.MatchString(name) }

// attempt runs a case if it is wanted.
func (k *kit) attempt(ctx context.Context, info Info, run func(T)) *Result {
	if !k.wanted(info.Name) {
		return nil
	}
	return k.judge(ctx, info, run)
}

// judge runs a case, unless the run is over.
func (k *kit) judge(ctx context.Context, info Info, run func(T)) *Result {
	if ctx.Err() != nil {
		return nil
	}
	if k.o.Began != nil {
		k.o.Began(info.Name)
	}
	j := &judged{name: info.Name}
	r := adaptertest.Attempt(ctx, info, k.o.Limit, func(t T) {
		j.T = t
		run(j)
	})
	if ctx.Err() != nil {
		return nil // interrupted: it says nothing about the plugin
	}
	if fix := j.fix.Load(); fix != nil {
		r.Fix = *fix
	}
	if r.Hung || r.Verdict == adaptertest.Fail {
		k.drop()
	}
	k.report.Results = append(k.report.Results, r)
	if k.o.Ended != nil {
		k.o.Ended(r)
	}
	return &r
}

// drop ends the shared guest.
func (k *kit) drop() {
	if k.shared != nil {
		k.shared.kill()
		k.shared = nil
	}
}

// guest returns a loaded plugin that cases may share, who leave it as it was.
func (k *kit) guest(t T) *guest {
	if k.shared == nil || !k.shared.alive() {
		k.drop()
		k.shared = k.fresh(t)
	}
	return k.shared
}

// fresh starts and loads a plugin; the case kills it.
func (k *kit) fresh(t T) *guest {
	g := k.start(t)
	k.ready(t, g)
	return g
}

// ready loads what was started, or kills it.
func (k *kit) ready(t T, g *guest) *loaded {
	t.Helper()
	l, err := g.load(t.Context(), loadRequest(k.target.Config), nil)
	if err == nil && l.failure != nil {
		err = adapters.Errorf(adapters.Kind(l.failure.Kind), "%s", l.failure.Message).WithRemedy("%s", l.failure.Remedy)
	}
	if err != nil {
		story := g.story()
		g.kill()
		k.unloaded(t, err, story)
	}
	k.unready.Store(0)
	k.lost.works(needsLoad)
	k.note(g, l)
	return l
}

// unloaded fails a case because the plugin does not load.
func (k *kit) unloaded(t T, err error, story string) {
	t.Helper()
	k.unready.Add(1)
	k.lost.fails(needsLoad, t)
	t.Fatalf("load: %v; %s", adviseOf(t, err, fixLoad), story)
}

// start starts a plugin that is not loaded; the case kills it.
func (k *kit) start(t T) *guest {
	k.hopeful(t)
	return k.started(t, nil)
}

// started starts a plugin, lent arenas where there are some.
func (k *kit) started(t T, lent *arenas) *guest {
	t.Helper()
	g, err := startWith(k.target.Config, "1", lent)
	if err != nil {
		k.unready.Add(1)
		k.lost.fails(needsStart, t)
		with := ""
		if lent != nil {
			with = "lent shared memory, "
		}
		t.Fatalf("%sthe plugin does not start: %v", with, adviseOf(t, err, fixHandshake))
	}
	k.lost.works(needsStart)
	return g
}

// hopeful skips a case where the plugin has not started twice in a row.
func (k *kit) hopeful(t T) {
	t.Helper()
	if k.unready.Load() > 1 {
		t.Skipf("the plugin does not start or load, as above")
	}
}

// note takes down what the plugin says of itself.
func (k *kit) note(g *guest, l *loaded) {
	if l.hello != nil {
		k.report.Name, k.report.Version = l.hello.Name, l.hello.Version
	}
	k.report.Kind = adapters.ModelKind(g.spec.Kind)
	k.opened(g.spec.Id)
}

// unknownVersion is that of a plugin which says none.
const unknownVersion = "unknown"

// introduce completes what the report says of the plugin: where no case has heard
// its hello, it is started once more for that, which needs no model.
func (k *kit) introduce(ctx context.Context) {
	r := k.report
	if id := k.model.Load(); id != nil {
		r.Model = *id
	}
	if (r.Name == "" || r.Version == "") && ctx.Err() == nil && k.unready.Load() == 0 {
		if hello := k.hello(ctx); hello != nil {
			r.Name, r.Version = hello.Name, hello.Version
		}
	}
	cfg := k.target.Config
	r.Name = cmp.Or(r.Name, cfg.Name, filepath.Base(cfg.Path))
	r.Version = cmp.Or(r.Version, cfg.Version, unknownVersion)
}

// hello returns what the plugin says first of all; nil where it does not come so far.
func (k *kit) hello(ctx context.Context) (hello *pb.Hello) {
	g, err := start(k.target.Config, "1")
	if err != nil {
		return nil
	}
	defer g.kill()
	ctx, cancel := context.WithTimeout(ctx, k.o.Limit)
	defer cancel()
	stream, err := g.client.Load(ctx, loadRequest(k.target.Config))
	if err != nil {
		return nil
	}
	event, err := stream.Recv()
	if err != nil {
		return nil
	}
	return event.GetHello()
}

// patient is a time that the contract gives, on this machine.
func (k *kit) patient(d time.Duration) time.Duration {
	return time.Duration(float64(d) * k.o.Patience)
}
