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

// What the names of the contract's cases begin with.
const (
	contractPrefix  = "contract: "
	inProcessPrefix = "in process: "
)

// closer is what both kinds of adapter have.
type closer interface{ Close() error }

// contract runs the suite of the plugin's kind through the host that bridge
// uses, and in this process where the target has a family.
func (k *kit) contract(ctx context.Context) {
	kind := k.report.Kind
	if kind == "" && k.wantsContract() {
		k.judge(ctx, opens(), func(t T) { k.guest(t) })
		k.drop()
		kind = k.report.Kind
	}
	family := k.target.InProcess
	switch kind {
	case adapters.KindVision:
		suite(ctx, k, contractPrefix, adaptertest.Vision(k.o.Contract), func(ctx context.Context) (adapters.VisionEncoder, error) {
			m, err := host.OpenVision(ctx, k.target.Config)
			if err == nil {
				k.opened(m.Spec().ID)
			}
			return m, err
		})
		if family != nil {
			suite(ctx, k, inProcessPrefix, adaptertest.Vision(k.o.Contract), func(ctx context.Context) (adapters.VisionEncoder, error) {
				req := k.target.Config.Load
				return family.OpenVision(ctx, &req)
			})
		}
	case adapters.KindLanguage:
		suite(ctx, k, contractPrefix, adaptertest.Language(k.o.Contract), func(ctx context.Context) (adapters.LanguageModel, error) {
			m, err := host.OpenLanguage(ctx, k.target.Config)
			if err == nil {
				k.opened(m.Spec().ID)
			}
			return m, err
		})
		if family != nil {
			suite(ctx, k, inProcessPrefix, adaptertest.Language(k.o.Contract), func(ctx context.Context) (adapters.LanguageModel, error) {
				req := k.target.Config.Load
				return family.OpenLanguage(ctx, &req)
			})
		}
	}
}

// opened notes the id of a model that was opened; a case that hung may do so late.
func (k *kit) opened(id string) { k.model.Store(&id) }

// wantsContract reports whether the plugin is to be opened for cases of the
// contract: some are wanted, and no other case has tried.
func (k *kit) wantsContract() bool {
	if slices.ContainsFunc(k.report.Results, func(r Result) bool { return r.Name == "process: load" }) {
		return false
	}
	for _, kind := range []adapters.ModelKind{adapters.KindLanguage, adapters.KindVision} {
		for _, c := range Cases(kind) {
			name, ok := strings.CutPrefix(c.Name, contractPrefix)
			if ok && (k.wanted(c.Name) || k.target.InProcess != nil && k.wanted(inProcessPrefix+name)) {
				return true
			}
		}
	}
	return false
}

// opens is the case of a plugin that is to be opened for others.
func opens() Info {
	return about("open", "the plugin starts, loads the checkpoint and answers with a spec", ruleProcess,
		fixOpen)
}

// suite runs cases on one model, opened anew after a case that failed or hung.
// Those that need what a case before them found not to work are skipped.
func suite[M closer](ctx context.Context, k *kit, prefix string, cases []adaptertest.Case[M], open func(context.Context) (M, error)) {
	var model atomic.Pointer[M] // a case that hung may yet set it
	done := func() {
		if m := model.Swap(nil); m != nil {
			_ = (*m).Close()
		}
	}
	defer done()
	var own lost // of this suite's model
	plain := k.plain(prefix)
	for _, c := range cases {
		info := c.Info
		info.Name = prefix + c.Name
		run := func(t T) {
			m := model.Load()
			if m == nil {
				m = openFor(ctx, k, t, &own, open)
				model.Store(m)
			}
			c.Run(t, adaptertest.Subject[M]{Model: *m, Another: open})
		}
		for _, n := range append([]string{"", c.Name}, c.Needs...) {
			if name := cmp.Or(own.blames(needsLoad), plain[n]); name != "" {
				run = needsFailed(name)
				break
			}
		}
		r := k.attempt(ctx, info, run)
		switch {
		case r == nil:
		case r.Hung: // closing it here would wait for what hangs
			go done()
		case r.Verdict == adaptertest.Fail:
			done()
		}
		if r != nil && r.Verdict == adaptertest.Fail {
			k.plainFailed(plain, prefix, c.Name)
		}
	}
}

// openFor opens the suite's model, which outlives the case that it is opened in.
func openFor[M closer](ctx context.Context, k *kit, t T, own *lost, open func(context.Context) (M, error)) *M {
	k.hopeful(t)
	opened, err := open(ctx)
	if err != nil {
		k.unready.Add(1)
		own.fails(needsLoad, t)
		t.Fatalf("the model does not open: %v", adviseOf(t, err, fixOpen))
	}
	k.unready.Store(0)
	own.works(needsLoad)
	return &opened
}

// plain returns, for a suite, the names of the cases about plain calls that are known
// to fail before it begins, each with the case that found it; under "" stands what
// takes all of them.
func (k *kit) plain(prefix string) map[string]string {
	found := map[string]string{}
	if prefix != contractPrefix {
		return found // in this process the plugin's own does not matter
	}
	found[""] = k.lost.blames(needsLoad)
	found[adaptertest.PlainLoss], found[adaptertest.PlainEncode] = k.lost.only(needsPlain), k.lost.only(needsPlain)
	return found
}

// plainFailed notes that a case failed which others may need.
func (k *kit) plainFailed(plain map[string]string, prefix, name string) {
	if plain[name] == "" {
		plain[name] = prefix + name
	}
	if prefix == contractPrefix && (name == adaptertest.PlainLoss || name == adaptertest.PlainEncode) {
		k.lost.take(needsPlain, prefix+name) // golden cases need it, too
	}
}
