package conformance

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/plugins/host"
)

// The prefixes of the names of the contract's cases.
const (
	contractPrefix  = "contract: "
	inProcessPrefix = "in process: "
)

// closer is implemented by both kinds of adapter.
type closer interface{ Close() error }

// runContract runs package adaptertest's suite of the plugin's kind through plugins/host,
// and in this process if the target has a family.
func (su *suite) runContract(ctx context.Context) {
	kind := su.report.Kind
	if kind == "" && su.contractSelected() {
		su.runCase(ctx, opens(), func(t T) { su.sharedGuest(t) })
		su.dropShared()
		kind = su.report.Kind
	}
	family := su.target.InProcess
	switch kind {
	case adapters.KindVision:
		runContractCases(ctx, su, contractPrefix, adaptertest.Vision(su.o.Contract), func(ctx context.Context) (adapters.VisionEncoder, error) {
			m, err := host.OpenVision(ctx, su.target.Config)
			if err == nil {
				su.recordModel(m.Spec().ID)
			}
			return m, err
		})
		if family != nil {
			runContractCases(ctx, su, inProcessPrefix, adaptertest.Vision(su.o.Contract), func(ctx context.Context) (adapters.VisionEncoder, error) {
				req := su.target.Config.Load
				return family.OpenVision(ctx, &req)
			})
		}
	case adapters.KindLanguage:
		runContractCases(ctx, su, contractPrefix, adaptertest.Language(su.o.Contract), func(ctx context.Context) (adapters.LanguageModel, error) {
			m, err := host.OpenLanguage(ctx, su.target.Config)
			if err == nil {
				su.recordModel(m.Spec().ID)
			}
			return m, err
		})
		if family != nil {
			runContractCases(ctx, su, inProcessPrefix, adaptertest.Language(su.o.Contract), func(ctx context.Context) (adapters.LanguageModel, error) {
				req := su.target.Config.Load
				return family.OpenLanguage(ctx, &req)
			})
		}
	}
}

// recordModel keeps the id of a model that was opened. A case that hung may call it late.
func (su *suite) recordModel(id string) { su.model.Store(&id) }

// contractSelected reports whether the plugin must be opened for cases of the contract:
// some are selected, and no other case has tried to open it.
func (su *suite) contractSelected() bool {
	if slices.ContainsFunc(su.report.Results, func(r Result) bool { return r.Name == "process: load" }) {
		return false
	}
	for _, kind := range []adapters.ModelKind{adapters.KindLanguage, adapters.KindVision} {
		for _, c := range Cases(kind) {
			name, ok := strings.CutPrefix(c.Name, contractPrefix)
			if ok && (su.selected(c.Name) || su.target.InProcess != nil && su.selected(inProcessPrefix+name)) {
				return true
			}
		}
	}
	return false
}

// opens describes a case that only opens the plugin, for the cases after it.
func opens() Info {
	return about("open", "the plugin starts, loads the checkpoint and answers with a spec", ruleProcess,
		fixOpen)
}

// runContractCases runs cases on one model, which it opens anew after a case that failed or
// hung. It skips cases that need something which an earlier case has found broken.
func runContractCases[M closer](ctx context.Context, su *suite, prefix string, cases []adaptertest.Case[M], open func(context.Context) (M, error)) {
	var model atomic.Pointer[M] // a case that hung may yet set it
	done := func() {
		if m := model.Swap(nil); m != nil {
			_ = (*m).Close()
		}
	}
	defer done()
	var own failedNeeds // of this model
	plain := su.failedPlainCalls(prefix)
	for _, c := range cases {
		info := c.Info
		info.Name = prefix + c.Name
		run := func(t T) {
			m := model.Load()
			if m == nil {
				m = openFor(ctx, su, t, &own, open)
				model.Store(m)
			}
			c.Run(t, adaptertest.Subject[M]{Model: *m, Another: open})
		}
		for _, n := range append([]string{"", c.Name}, c.Needs...) {
			if name := cmp.Or(own.blocker(needsLoad), plain[n]); name != "" {
				run = needsFailed(name)
				break
			}
		}
		r := su.runIfSelected(ctx, info, run)
		switch {
		case r == nil:
		case r.Hung: // closing the model here would wait for the call that hangs
			go done()
		case r.Verdict == adaptertest.Fail:
			done()
		}
		if r != nil && r.Verdict == adaptertest.Fail {
			su.recordPlainFailure(plain, prefix, c.Name)
		}
	}
}

// openFor opens the model for a case and those after it.
func openFor[M closer](ctx context.Context, su *suite, t T, own *failedNeeds, open func(context.Context) (M, error)) *M {
	su.skipIfBroken(t)
	opened, err := open(ctx)
	if err != nil {
		su.failedStarts.Add(1)
		own.fail(needsLoad, t)
		t.Fatalf("the model does not open: %v", adviseFrom(t, err, fixOpen))
	}
	su.failedStarts.Store(0)
	own.pass(needsLoad)
	return &opened
}

// failedPlainCalls returns the cases about plain calls that are known to fail before the
// contract's cases begin, with the name of the case that found it. The empty name stands for
// all cases.
func (su *suite) failedPlainCalls(prefix string) map[string]string {
	found := map[string]string{}
	if prefix != contractPrefix {
		return found // the plugin's process does not matter here
	}
	found[""] = su.failedNeeds.blocker(needsLoad)
	found[adaptertest.PlainLoss], found[adaptertest.PlainEncode] = su.failedNeeds.failure(needsPlain), su.failedNeeds.failure(needsPlain)
	return found
}

// recordPlainFailure records the failure of a case that other cases may need.
func (su *suite) recordPlainFailure(plain map[string]string, prefix, name string) {
	if plain[name] == "" {
		plain[name] = prefix + name
	}
	if prefix == contractPrefix && (name == adaptertest.PlainLoss || name == adaptertest.PlainEncode) {
		su.failedNeeds.forceFail(needsPlain, prefix+name) // golden cases need it, too
	}
}
