package adaptertest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
)

// infos lists what both suites say of their cases.
func infos() (all []Info) {
	for _, c := range Language(Options{}) {
		all = append(all, c.Info)
	}
	for _, c := range Vision(Options{}) {
		all = append(all, c.Info)
	}
	return all
}

func TestCasesSayWhatTheyWant(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "contract.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range infos() {
		if i.Wants == "" || i.Fix == "" {
			t.Errorf("%s: wants %q, fix %q", i.Name, i.Wants, i.Fix)
		}
		heading, ok := strings.CutPrefix(i.Rule, "docs/contract.md, ")
		if !ok || !strings.Contains(string(page), "\n## "+heading+"\n") {
			t.Errorf("%s: the contract has no heading for %q", i.Name, i.Rule)
		}
	}
}

func TestNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Language(Options{}) {
		if seen[c.Name] {
			t.Errorf("two cases are named %q", c.Name)
		}
		seen[c.Name] = true
	}
}

func TestAttempt(t *testing.T) {
	for name, c := range map[string]struct {
		run     func(T)
		verdict Verdict
		message string
		hung    bool
	}{
		"passes":       {func(T) {}, Pass, "", false},
		"logs":         {func(t T) { t.Logf("by the way") }, Pass, "by the way", false},
		"fails":        {func(t T) { t.Errorf("wrong: %d", 1); t.Errorf("and %d", 2) }, Fail, "wrong: 1\nand 2", false},
		"stops":        {func(t T) { t.Fatalf("at once"); panic("not reached") }, Fail, "at once", false},
		"skips":        {func(t T) { t.Skipf("nothing there"); panic("not reached") }, Skip, "nothing there", false},
		"fails, skips": {func(t T) { t.Errorf("wrong"); t.Skipf("nothing there") }, Fail, "wrong\nnothing there", false},
		"panics":       {func(T) { panic("oh") }, Fail, "panic: oh", false},
		"ends late":    {func(t T) { <-t.Context().Done() }, Fail, "the case has not ended after 50ms", false},
		"hangs":        {func(T) { select {} }, Fail, "the case has not ended after 50ms", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := Attempt(context.Background(), Info{Name: name}, 50*time.Millisecond, c.run)
			if text := strings.Join(r.Messages, "\n"); r.Verdict != c.verdict || r.Hung != c.hung || !strings.HasPrefix(text, c.message) {
				t.Errorf("got %s, hung %v, %q", r.Verdict, r.Hung, text)
			}
		})
	}
}

// What the model does wrong in this process is a failure of the case, not of
// the program.
func TestPanicsInAnotherGoroutine(t *testing.T) {
	r := Attempt(context.Background(), Info{}, time.Minute, func(t T) {
		atOnce(t, time.Minute, func(i int) error {
			if i == 2 {
				panic("on purpose")
			}
			return nil
		})
	})
	if r.Verdict != Fail || len(r.Messages) != 1 || !strings.Contains(r.Messages[0], "call 2 of four at once: panic: on purpose") {
		t.Errorf("got %+v", r)
	}
}

func TestMessagesAreBounded(t *testing.T) {
	r := Attempt(context.Background(), Info{}, time.Minute, func(t T) {
		for i := range 1000 {
			t.Errorf("%d", i)
		}
	})
	if len(r.Messages) != maxMessages+1 {
		t.Errorf("%d messages", len(r.Messages))
	}
}

// A model without a gradient says so, and passes.
func TestWithoutGradient(t *testing.T) {
	TestLanguage(t, func() adapters.LanguageModel {
		m := NewFakeLanguage("fake", 1)
		m.spec.Capabilities = []adapters.Capability{adapters.CapScore, adapters.CapEmbedTokens, adapters.CapCountTokens}
		return m
	}, Options{})
}

// parsing reads "end" at the end of a text as the token that ends an answer, and two
// bytes at most otherwise.
type parsing struct{ *FakeLanguage }

func (m parsing) Loss(ctx context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	resp, err := m.FakeLanguage.Loss(ctx, req)
	if err != nil {
		return nil, err
	}
	for i, e := range req.Examples {
		if e.Target == "end" { // the end after the text, and the end after that
			resp.Loss[i], resp.Tokens[i] = resp.Loss[1]+resp.Loss[2], 2
		}
	}
	return resp, nil
}

// refusing refuses the name.
type refusing struct{ *FakeLanguage }

func (m refusing) Loss(ctx context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	for _, e := range req.Examples {
		if strings.Contains(e.Target, "end") {
			return nil, adapters.Errorf(adapters.Invalid, "the text holds the token that ends an answer")
		}
	}
	return m.FakeLanguage.Loss(ctx, req)
}

// A model that reads its special token in a text is found out and, as older plugins do it,
// skipped; text and a refusal pass.
func TestSpecialTokensInTexts(t *testing.T) {
	fake := NewFakeLanguage("fake", 1)
	newline := NewFakeLanguage("fake", 1)
	newline.spec.EndOfAnswer = "\n"
	for name, c := range map[string]struct {
		model adapters.LanguageModel
		want  Verdict
	}{
		"text": {fake, Pass}, "a newline": {newline, Pass}, "refused": {refusing{fake}, Pass}, "read as the token": {parsing{fake}, Skip},
	} {
		for _, one := range Language(Options{}) {
			if one.Name != "special tokens in texts" {
				continue
			}
			r := Attempt(t.Context(), one.Info, time.Minute, func(t T) { one.Run(t, Subject[adapters.LanguageModel]{Model: c.model}) })
			if r.Verdict != c.want {
				t.Errorf("%s: %+v, want %s", name, r, c.want)
			}
		}
	}
}
