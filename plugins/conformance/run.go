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

// T, Info and Result are those of package adaptertest.
type (
	T      = adaptertest.T
	Info   = adaptertest.Info
	Result = adaptertest.Result
)

// Target is the plugin to test.
type Target struct {
	// Config says how the plugin starts and what it loads. Its Restart is ignored: a
	// process that dies fails its case.
	Config host.Config
	// Confine, if non-nil, puts every start of the plugin into a sandbox, in which it may
	// write to the given folders and to its working folder. It replaces Config.Prepare.
	Confine func(cmd *exec.Cmd, writable ...string) error
	// InProcess, if non-nil, is the family that the plugin serves. The contract's cases
	// run on it in this process, too.
	InProcess *adapters.Family
	// Kind is the kind that the plugin must have; empty if either will do.
	Kind adapters.ModelKind
	// Manifest returns the differences between the plugin's manifest and its description
	// of itself, in words. It is nil if there is no manifest.
	Manifest func(host.Identity) []string
}

// Options select the cases and their limits.
type Options struct {
	Contract adaptertest.Options
	Golden   []string       // golden folders
	Run      *regexp.Regexp // selects cases by name; nil selects all
	// Limit is the time limit of one case; 0 means 2 minutes.
	Limit time.Duration
	// Patience multiplies the times that the contract gives a plugin, for slow machines; 0
	// means 1.
	Patience float64
	// Host is the command line of a program that calls [RunHost]. The suite kills it, to
	// see whether the plugin ends with it. Without one, the suite closes the lifeline
	// instead.
	Host []string
	// Began and Ended, if non-nil, are called around each case.
	Began func(name string)
	Ended func(Result)
}

// Report has the results of a plugin.
type Report struct {
	// Name and Version are those of the plugin's hello, or else of its configuration.
	Name    string             `json:"name"`
	Version string             `json:"version"`
	Kind    adapters.ModelKind `json:"kind"`
	Model   string             `json:"model"` // the spec's id; empty if no model was loaded
	Results []Result           `json:"-"`
	Took    time.Duration      `json:"-"`
}

// Count returns how many cases have the verdict v.
func (r *Report) Count(v adaptertest.Verdict) (n int) {
	for _, result := range r.Results {
		if result.Verdict == v {
			n++
		}
	}
	return n
}

// OK reports whether at least one case passed and none failed.
func (r *Report) OK() bool { return r.Count(adaptertest.Fail) == 0 && r.Count(adaptertest.Pass) > 0 }

// suite is one run of the cases.
type suite struct {
	target Target
	o      Options
	report *Report
	shared *guest // a loaded plugin that cases share; nil if there is none
	// failedStarts counts how often in a row the plugin did not start or load. Two reports
	// of that are enough.
	failedStarts atomic.Int32
	failedNeeds  failedNeeds
	model        atomic.Pointer[string] // the id of the last model that was opened
}

// Run tests a plugin. The error says why the run itself did not finish. The plugin's faults
// are in the report.
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
	defer cancel() // ends what a case may still be opening
	su := &suite{target: target, o: o, report: &Report{Kind: target.Kind}}
	defer func() { su.report.Took = time.Since(began) }()
	defer su.dropShared()
	defer su.completeReport(ctx)
	for _, c := range processCases() {
		run := func(t T) { c.run(su, t) }
		if name := su.failedNeeds.blocker(c.needs); name != "" {
			run = needsFailed(name)
		}
		su.runIfSelected(ctx, c.Info, run)
	}
	su.dropShared()
	su.runContract(ctx)
	for _, dir := range o.Golden {
		su.runGolden(ctx, dir)
	}
	if err := ctx.Err(); err != nil {
		return su.report, adapters.Errorf(adapters.Canceled, "%w", err)
	}
	return su.report, nil
}

// selected reports whether Options.Run selects a case.
func (su *suite) selected(name string) bool { return su.o.Run == nil || su.o.Run.MatchString(name) }

// runIfSelected runs a case if it is selected.
func (su *suite) runIfSelected(ctx context.Context, info Info, run func(T)) *Result {
	if !su.selected(info.Name) {
		return nil
	}
	return su.runCase(ctx, info, run)
}

// runCase runs a case, unless the run was interrupted.
func (su *suite) runCase(ctx context.Context, info Info, run func(T)) *Result {
	if ctx.Err() != nil {
		return nil
	}
	if su.o.Began != nil {
		su.o.Began(info.Name)
	}
	c := &caseT{name: info.Name}
	r := adaptertest.Attempt(ctx, info, su.o.Limit, func(t T) {
		c.T = t
		run(c)
	})
	if ctx.Err() != nil {
		return nil // interrupted: the result says nothing about the plugin
	}
	if fix := c.fix.Load(); fix != nil {
		r.Fix = *fix
	}
	if r.Hung || r.Verdict == adaptertest.Fail {
		su.dropShared()
	}
	su.report.Results = append(su.report.Results, r)
	if su.o.Ended != nil {
		su.o.Ended(r)
	}
	return &r
}

// dropShared ends the guest that cases share.
func (su *suite) dropShared() {
	if su.shared != nil {
		su.shared.kill()
		su.shared = nil
	}
}

// sharedGuest returns a loaded plugin that cases share. A case leaves it as it was.
func (su *suite) sharedGuest(t T) *guest {
	if su.shared == nil || !su.shared.alive() {
		su.dropShared()
		su.shared = su.startAndLoad(t)
	}
	return su.shared
}

// startAndLoad starts and loads a plugin for one case, which kills it.
func (su *suite) startAndLoad(t T) *guest {
	g := su.start(t)
	su.loadOrFail(t, g)
	return g
}

// loadOrFail loads the model of a guest. If that fails, it kills the guest and fails the
// case.
func (su *suite) loadOrFail(t T, g *guest) *loaded {
	t.Helper()
	l, err := g.load(t.Context(), loadRequest(su.target.Config), nil)
	if err == nil && l.failure != nil {
		err = adapters.Errorf(adapters.Kind(l.failure.Kind), "%s", l.failure.Message).WithRemedy("%s", l.failure.Remedy)
	}
	if err != nil {
		status := g.status()
		g.kill()
		su.failLoad(t, err, status)
	}
	su.failedStarts.Store(0)
	su.failedNeeds.pass(needsLoad)
	su.record(g, l)
	return l
}

// failLoad fails a case because the plugin does not load.
func (su *suite) failLoad(t T, err error, status string) {
	t.Helper()
	su.failedStarts.Add(1)
	su.failedNeeds.fail(needsLoad, t)
	t.Fatalf("load: %v; %s", adviseFrom(t, err, fixLoad), status)
}

// start starts a plugin without a model for one case, which kills it.
func (su *suite) start(t T) *guest {
	su.skipIfBroken(t)
	return su.startOrFail(t, nil)
}

// startOrFail starts a plugin, with arenas unless lent is nil.
func (su *suite) startOrFail(t T, lent *arenas) *guest {
	t.Helper()
	g, err := startWith(su.target.Config, "1", lent)
	if err != nil {
		su.failedStarts.Add(1)
		su.failedNeeds.fail(needsStart, t)
		with := ""
		if lent != nil {
			with = "lent shared memory, "
		}
		t.Fatalf("%sthe plugin does not start: %v", with, adviseFrom(t, err, fixHandshake))
	}
	su.failedNeeds.pass(needsStart)
	return g
}

// skipIfBroken skips the case if the plugin has failed to start or load twice in a row.
func (su *suite) skipIfBroken(t T) {
	t.Helper()
	if su.failedStarts.Load() > 1 {
		t.Skipf("the plugin does not start or load, as above")
	}
}

// record copies the plugin's description of itself to the report.
func (su *suite) record(g *guest, l *loaded) {
	if l.hello != nil {
		su.report.Name, su.report.Version = l.hello.Name, l.hello.Version
	}
	su.report.Kind = adapters.ModelKind(g.spec.Kind)
	su.recordModel(g.spec.Id)
}

// unknownVersion is the version of a plugin that reports none.
const unknownVersion = "unknown"

// completeReport completes the plugin's name, version and model in the report. If no case
// has received its hello, completeReport starts the plugin once more for that.
func (su *suite) completeReport(ctx context.Context) {
	r := su.report
	if id := su.model.Load(); id != nil {
		r.Model = *id
	}
	if (r.Name == "" || r.Version == "") && ctx.Err() == nil && su.failedStarts.Load() == 0 {
		if hello := su.hello(ctx); hello != nil {
			r.Name, r.Version = hello.Name, hello.Version
		}
	}
	cfg := su.target.Config
	r.Name = cmp.Or(r.Name, cfg.Name, filepath.Base(cfg.Path))
	r.Version = cmp.Or(r.Version, cfg.Version, unknownVersion)
}

// hello starts the plugin and returns its hello, or nil if it sends none.
func (su *suite) hello(ctx context.Context) (hello *pb.Hello) {
	g, err := start(su.target.Config, "1")
	if err != nil {
		return nil
	}
	defer g.kill()
	ctx, cancel := context.WithTimeout(ctx, su.o.Limit)
	defer cancel()
	stream, err := g.client.Load(ctx, loadRequest(su.target.Config))
	if err != nil {
		return nil
	}
	event, err := stream.Recv()
	if err != nil {
		return nil
	}
	return event.GetHello()
}

// scaled returns a time of the contract, scaled for this machine by Options.Patience.
func (su *suite) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) * su.o.Patience)
}
