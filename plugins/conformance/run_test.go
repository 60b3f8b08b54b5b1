package conformance

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/plugins/host"
)

// names returns the cases with a verdict.
func names(r *Report, v adaptertest.Verdict) (names []string) {
	for _, c := range r.Results {
		if c.Verdict == v {
			names = append(names, c.Name)
		}
	}
	return names
}

func examine(t *testing.T, target Target, o Options) *Report {
	t.Helper()
	r, err := Run(t.Context(), target, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A plugin without faults passes. Only cases for what the fake does not have are skipped.
func TestGood(t *testing.T) {
	t.Parallel()
	for _, kind := range []adapters.ModelKind{adapters.KindLanguage, adapters.KindVision} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			o, good := options(t), target(t, "good", kind)
			o.Host = hostCommand(t)
			for _, f := range families("good", 0) {
				if f.Kind == kind {
					good.InProcess = &f
				}
			}
			r := examine(t, good, o)
			for _, c := range r.Results {
				if c.Verdict == adaptertest.Fail || c.Verdict == adaptertest.Skip && !strings.Contains(c.Messages[0], "the fake has no") {
					t.Errorf("%s %s: %v", c.Verdict, c.Name, c.Messages)
				}
			}
			want := 0 // the contract's cases are run twice
			for _, c := range Cases(kind) {
				want++
				if strings.HasPrefix(c.Name, "contract") {
					want++
				}
			}
			if len(r.Results) != want || !r.OK() {
				t.Errorf("%d results, want %d", len(r.Results), want)
			}
			if r.Name == "" || r.Version == "" || r.Kind != kind || r.Model != "tiny" {
				t.Errorf("the report is of %q %q, a %q, %q", r.Name, r.Version, r.Kind, r.Model)
			}
		})
	}
}

// A model without gradients passes if its spec says so.
func TestWithoutGradient(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Run = regexp.MustCompile("^contract")
	r := examine(t, target(t, "no gradient named", adapters.KindLanguage), o)
	if failed := names(r, adaptertest.Fail); len(failed) > 0 || !slices.Contains(names(r, adaptertest.Pass), "contract: gradient") ||
		!slices.Contains(names(r, adaptertest.Skip), "contract: gradient of an unused prompt") {
		t.Errorf("%q fail", failed)
	}
}

// A manifest that differs from the program fails, and the report says how to fix it.
func TestManifest(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Run = regexp.MustCompile("^process: manifest$")
	bad := target(t, "good", adapters.KindLanguage)
	bad.Manifest = nil
	if r := examine(t, bad, o); r.Count(adaptertest.Skip) != 1 {
		t.Errorf("without a manifest: %+v", r.Results)
	}
	var said host.Identity
	bad.Manifest = func(s host.Identity) []string {
		said = s
		return nil
	}
	if r := examine(t, bad, o); !r.OK() || said.Protocol != 1 || !slices.Contains(said.Capabilities, adapters.CapGradient) {
		t.Errorf("the plugin says %+v: %+v", said, r.Results)
	}
	bad.Manifest = func(host.Identity) []string { return []string{"plugin.toml says version 1.2.0, the program 1.1.0"} }
	r := examine(t, bad, o)
	if text := explanation(r.Results[0]); r.Results[0].Verdict != adaptertest.Fail || !strings.Contains(text, "says version 1.2.0, the program 1.1.0") ||
		!strings.Contains(text, "make plugin.toml and the program agree") {
		t.Errorf("it says\n%s", text)
	}
}

// A program that is no plugin is reported once, and nothing hangs.
func TestNoPlugin(t *testing.T) {
	t.Parallel()
	r := examine(t, Target{Config: host.Config{Path: "/bin/true"}}, options(t))
	failed := names(r, adaptertest.Fail)
	if want := []string{"process: started by hand", "process: handshake"}; !slices.Equal(failed, want) || r.Count(adaptertest.Pass) > 0 {
		t.Errorf("%q fail, %d pass", failed, r.Count(adaptertest.Pass))
	}
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("hello\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r = examine(t, Target{Config: host.Config{Path: text}}, options(t))
	if c := r.Results[1]; r.Count(adaptertest.Pass) > 0 || c.Name != "process: handshake" || !strings.Contains(explanation(c), text+" is neither a program nor a script") {
		t.Errorf("of a text, the case %s says %s", c.Name, explanation(c))
	}
	if _, err := Run(t.Context(), Target{Config: host.Config{Path: "/no/such/plugin"}}, options(t)); adapters.KindOf(err) != adapters.NotFound {
		t.Errorf("got %v", err)
	}
}

// A report names its plugin, whatever was run and whatever failed.
func TestReportNamesThePlugin(t *testing.T) {
	t.Parallel()
	for _, run := range []string{"^process: handshake$", "^contract: loss$", "^contract: no such case$"} {
		o := options(t)
		o.Run = regexp.MustCompile(run)
		r := examine(t, target(t, "good", adapters.KindLanguage), o)
		if want := filepath.Base(r.Name); r.Name == "" || r.Name == "bad" || want != r.Name || r.Version == "" {
			t.Errorf("%s: the report is of %q %q, want what the plugin's hello says", run, r.Name, r.Version)
		}
		if model := map[bool]string{true: "tiny"}[strings.HasSuffix(run, "loss$")]; r.Model != model {
			t.Errorf("%s: the model is %q, want %q", run, r.Model, model)
		}
	}
	r := examine(t, Target{Config: host.Config{Name: "mine", Version: "1.2.0", Path: "/bin/true"}}, options(t))
	if r.Name != "mine" || r.Version != "1.2.0" {
		t.Errorf("of a plugin that does not start the report says %q %q", r.Name, r.Version)
	}
	r = examine(t, Target{Config: host.Config{Path: "/bin/true"}}, options(t))
	if r.Name != "true" || r.Version != "unknown" {
		t.Errorf("of a program that is no plugin the report says %q %q", r.Name, r.Version)
	}
}

// An interrupted run ends, and reports nothing about the case that was interrupted.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	o := options(t)
	o.Began = func(name string) {
		if name == "process: load" {
			cancel()
		}
	}
	r, err := Run(ctx, target(t, "good", adapters.KindVision), o)
	if adapters.KindOf(err) != adapters.Canceled || len(r.Results) != 3 {
		t.Errorf("got %v and %d results", err, len(r.Results))
	}
}

// quick are the cases about the process that do not wait.
const quick = "process: (started|handshake|other|load|plain|one|a check|stdout|interrupt|shutdown|the host|chunks|malformed|a message|refusals|calls|leaks|arenas|handles|leases)"

// fault is a fault of a plugin: it must fail the named cases and no others.
type fault struct {
	run     string // the group of cases that is run
	fails   []string
	more    bool   // it may fail others, too: what they look at is broken
	message string // in the messages of the first
}

// TestFaultsAreFound runs plugins that do one thing wrong each.
func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	faults := map[string]fault{
		"silent by hand":     {run: quick, fails: []string{"started by hand"}, message: "want exit status 2"},
		"any client":         {run: "process: handshake", fails: []string{"handshake"}, message: "certificate"},
		"no lifeline":        {run: "process: the host dies", fails: []string{"the host dies"}, message: "after the host's end of the lifeline was closed"},
		"any checkpoint":     {run: quick, fails: []string{"a checkpoint that is not there"}, message: "succeeds"},
		"prints":             {run: quick, fails: []string{"stdout"}, message: "a debug message"},
		"ends at SIGINT":     {run: quick, fails: []string{"interrupt"}, message: "SIGINT ends it"},
		"exits 1":            {run: "process: shutdown when", fails: []string{"shutdown when idle"}, message: "exit status 1"},
		"slow to end":        {run: "process: shutdown when", fails: []string{"shutdown when idle"}, message: "after the shutdown was asked for"},
		"leaks a descriptor": {run: quick, fails: []string{"leaks"}, message: "20 calls leave 20 more descriptors open"},
		"leaks memory":       {run: "process: leaks", fails: []string{"leaks"}, message: "MiB more of memory"},

		"another digest":          {run: "contract", fails: []string{"spec, loaded again"}, message: "loaded again, the spec is"},
		"no digest":               {run: "contract", fails: []string{"spec"}, message: "64 hexadecimal digits"},
		"wrong width":             {run: "contract: (spec|loss)$", fails: []string{"spec", "loss"}, message: "13]"},
		"wrong token norm":        {run: "contract", fails: []string{"token norm"}, message: "mean norm"},
		"lacks what it names":     {run: "contract", fails: []string{"capabilities", "token norm", "score", "embed tokens", "count tokens"}, more: true, message: "names the capability"},
		"wrong shape":             {run: "contract: (loss|gradient)$", fails: []string{"loss", "gradient"}, message: "gradient is float32[6, 12]"},
		"padding counts":          {run: "contract", fails: []string{"alone as in a batch", "many examples"}, message: "loss of an example alone"},
		"wrong sign":              {run: "contract", fails: []string{"gradient"}, message: "by the gradient"},
		"mean instead of sum":     {run: "contract", fails: []string{"alone as in a batch", "gradient"}, more: true, message: "sum of the gradients alone"},
		"not deterministic":       {run: "contract", fails: []string{"deterministic"}, more: true, message: "the same request has the losses"},
		"no bfloat16":             {run: "contract", fails: []string{"prompts in bfloat16"}, message: "losses with prompts in bfloat16"},
		"cuts long texts":         {run: "contract", fails: []string{"context"}, message: "no error"},
		"cuts at NUL":             {run: "contract", fails: []string{"nul"}, message: "it is cut there"},
		"hides NaN":               {run: "contract", fails: []string{"prompts that are no numbers"}, message: "would go unseen"},
		"NaN reaches others":      {run: "in process", fails: []string{"prompts that are no numbers"}, message: "loss of an example without"},
		"dies at an empty target": {run: "contract", fails: []string{"loss", "many examples", "empty parts", "special tokens in texts"}, message: "the plugin died"},
		"two at once":             {run: "contract: at once", fails: []string{"at once"}, message: "busy"},
		"hangs when canceled":     {run: "contract: canceled at work", fails: []string{"canceled at work"}, message: "has not ended"},
		"ignores top-k":           {run: "contract", fails: []string{"generation: top-k 1", "generation: top-k 1 at a high temperature", "generation: a low temperature"}, more: true, message: "greedily"},
		"ignores sampling":        {run: "contract", fails: []string{"generation: sampling is sampled", "generation: options of each example"}, message: "sampling or the temperature is ignored"},
		"ignores the seed":        {run: "contract: generation: sampling is", fails: []string{"generation: sampling is sampled"}, message: "the seed is ignored"},
		"ignores the penalty":     {run: "contract", fails: []string{"generation: repetition penalty is no empty word"}, message: "the penalty is ignored"},
		"ends early":              {run: "contract", fails: []string{"generation: a minimum", "generation: options of each example"}, message: "has 3 tokens, want 6 to 6"},
		"ignores the maximum":     {run: "contract", fails: []string{"generate", "generation: one token"}, more: true, message: "tokens"},
		"answers are not trimmed": {run: "contract", fails: []string{"generate"}, more: true, message: "outer white space trimmed"},
		"scores are losses":       {run: "contract", fails: []string{"score"}, message: "scores against −loss"},
		"counts a bos":            {run: "contract", fails: []string{"embed tokens", "count tokens", "generation: counts of input tokens"}, message: "count"},
		"ignores rows":            {run: "contract: generation", fails: []string{"generation: options of each example"}, message: "by its own options"},
		"ignores stop texts":      {run: "contract: generation", fails: []string{"generation: stop texts"}, message: "the answer"},
		"ignores cancellations":   {run: "contract: generation", fails: []string{"generation: a canceled example"}, message: "canceled before the call"},
		"scores the end":          {run: "contract: generation", fails: []string{"generation: log-probabilities"}, message: "the pieces of answer 0"},
		"counts padding":          {run: "contract: generation", fails: []string{"generation: counts of input tokens"}, message: "the counts of input tokens are"},

		"no gradient named":     {run: "in process", fails: []string{"capabilities"}, more: true, message: "and its method works"},
		"writes to the request": {run: "in process: request unchanged", fails: []string{"request unchanged"}, message: "has changed its request"},
		"answers with a buffer": {run: "in process: response is", fails: []string{"response is the caller's"}, message: "the same request has the losses"},
		"answers when closed":   {run: "in process", fails: []string{"closed"}, message: "a call after close succeeds"},
	}
	for _, mode := range slices.Sorted(maps.Keys(faults)) {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			found(t, mode, adapters.KindLanguage, faults[mode])
		})
	}
	for mode, f := range map[string]fault{
		"normalises over the batch":     {run: "contract", fails: []string{"alone as in a batch", "many pictures"}, message: "features of a picture alone"},
		"plain pictures divide by zero": {run: "contract", fails: []string{"plain pictures"}, message: "is +Inf"},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			found(t, mode, adapters.KindVision, f)
		})
	}
}

// found runs a faulty plugin and compares its failures.
func found(t *testing.T, mode string, kind adapters.ModelKind, f fault) {
	bad, o := target(t, mode, kind), options(t)
	o.Run = regexp.MustCompile("^" + f.run)
	o.Limit, o.Contract.Wait = 40*time.Second, 20*time.Second
	switch mode {
	case "hangs when canceled":
		o.Contract.Wait = 2 * time.Second
	case "leaks memory": // which is slow under the race detector
		o.Limit = 2 * time.Minute
	case "slow to end", "no lifeline": // these are waited for in vain
		o.Patience = 0.25
	}
	if strings.HasPrefix(f.run, "in process") {
		for _, family := range families(mode, 0) {
			if family.Kind == kind {
				bad.InProcess = &family
			}
		}
	}
	r := examine(t, bad, o)
	group, _, _ := strings.Cut(f.run, ":")
	failed := names(r, adaptertest.Fail)
	for i, name := range f.fails {
		at := slices.Index(failed, group+": "+name)
		if at < 0 {
			t.Errorf("%q passes; what fails is %q", name, failed)
			continue
		}
		failed = slices.Delete(failed, at, at+1)
		c := r.Results[slices.IndexFunc(r.Results, func(c Result) bool { return c.Name == group+": "+name })]
		if text := explanation(c); i == 0 && !strings.Contains(text, f.message) || !strings.Contains(text, c.Fix) {
			t.Errorf("the explanation lacks %q:\n%s", f.message, text)
		}
	}
	if len(failed) > 0 && !f.more {
		t.Errorf("%q fail, too:", failed)
		for _, c := range r.Results {
			if slices.Contains(failed, c.Name) {
				t.Log(c.Name, c.Messages)
			}
		}
	}
}
