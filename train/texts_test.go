package train_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/builtin"
	"github.com/modular-bridging/bridge/adapters/opt"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/objective"
	"github.com/modular-bridging/bridge/train/textcut"
)

// scripts are pieces of text in many scripts and of odd characters. Joined without blanks,
// they are texts with no word to cut after.
func scripts() [][]string {
	return [][]string{
		{"一只狗", "在草地上", "奔跑", "。"},
		{"สุนัข", "วิ่ง", "บน", "หญ้า"},
		{"كلب", "يركض", "على", "العشب", "ﷺ"},
		{"👩‍🚀", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "👍🏽"},
		{"e\u0301", "n\u0303", "a\u0300\u0301\u0302\u0303", "ẛ̣"},
		{"\x00", "\x01", "\x1b", "\x7f", "\u0085", "\u202e", "\ufeff"},
		{"a\u00a0dog", "\u2003", "\u200b", "\t", "\r\n", "\n"},
		{" ", "  "},
		{"a dog ", "left of ", "an apple ", "bicycles "},
		{"https://example.org/", "%20", "?q=", "aaaaaaaaaaaaaaa"},
		{"</s>", "<|endoftext|>", "<pad>", "<image>", "<extra_id_0>", "[SEP]", "<bos>", "<end_of_turn>"},
		{"①", "ﬁ", "Å", "＜/s＞", "½"},
	}
}

// oddTexts returns n random texts of the scripts, and some that are long.
func oddTexts(n int) []string {
	rng := rand.New(rand.NewPCG(7, 7))
	all := scripts()
	texts := []string{"a dog", strings.Repeat("狗", 10000), strings.Repeat(" ", 10000), strings.Repeat("a\u0301", 700), strings.Repeat("ﷺ", 10)}
	for i := range n {
		from := [][]string{all[i%len(all)]}
		if i >= len(all) {
			from = all
		}
		var b strings.Builder
		for range 1 + rng.IntN(60) {
			script := from[rng.IntN(len(from))]
			b.WriteString(script[rng.IntN(len(script))])
		}
		texts = append(texts, b.String())
	}
	return texts
}

// languageFolders returns checkpoints of every language family, one for each kind of
// tokenizer, or all of the families' golden folders in the long form.
func languageFolders(t *testing.T) map[string]adapters.Family {
	t.Helper()
	folders := map[string]adapters.Family{}
	for _, family := range builtin.Families() {
		if family.OpenLanguage == nil {
			continue
		}
		found, err := filepath.Glob(filepath.Join("..", "adapters", family.Name, "testdata", "golden-*", "checkpoint"))
		if err != nil || len(found) == 0 {
			t.Fatalf("golden folders of %s: %v, %v", family.Name, found, err)
		}
		for i, dir := range found {
			if testenv.Long() || i == 0 || i == len(found)-1 && strings.Contains(dir, "sentencepiece") {
				folders[dir] = family
			}
		}
	}
	return folders
}

func openFolder(t *testing.T, family adapters.Family, dir string) adapters.LanguageModel {
	t.Helper()
	lm, err := family.OpenLanguage(t.Context(), &adapters.LoadRequest{Checkpoint: dir, Backend: "go"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lm.Close() })
	return lm
}

// In every family's tokenizer, a text in any script is cut to a prefix of whole characters
// that fits; one more character does not.
func TestTextsInAnyScriptAreCut(t *testing.T) {
	texts, limits := oddTexts(12), []int{1, 7, 31}
	if testenv.Long() {
		texts, limits = oddTexts(60), span1(40)
	}
	for dir, family := range languageFolders(t) {
		counter, ok := adapters.AsTokenCounter(openFolder(t, family, dir))
		if !ok {
			t.Fatalf("%s counts no tokens", family.Name)
		}
		for i, text := range texts {
			for _, limit := range limits {
				if testenv.Long() && (limit+i)%4 > 0 {
					continue // every limit meets a quarter of the texts
				}
				checkCut(t, dir, counter, text, limit)
			}
		}
	}
}

func checkCut(t *testing.T, dir string, counter adapters.TokenCounter, text string, limit int) {
	t.Helper()
	got, err := textcut.Longest(t.Context(), counter, text, limit)
	if err != nil {
		t.Fatalf("%s: %v", dir, err)
	}
	if !strings.HasPrefix(text, got) || !utf8.ValidString(got) {
		t.Errorf("%s: %q is not a prefix of whole characters of %q", dir, got, text)
	}
	_, next := utf8.DecodeRuneInString(text[len(got):])
	counts, err := counter.CountTokens(t.Context(), []string{got, text[:len(got)+next]})
	if err != nil {
		t.Fatal(err)
	}
	if int(counts[0]) > limit || got != text && int(counts[1]) <= limit {
		t.Errorf("%s: at most %d tokens of %.40q: %q has %d, with one more character %d", dir, limit, text, got, counts[0], counts[1])
	}
}

// span1 returns 1, …, n.
func span1(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i + 1
	}
	return all
}

// oddRecords replaces the captions, questions and answers of a set.
func oddRecords(s train.Set, texts []string) train.Set {
	at := func(i int) string { return texts[i%len(texts)] }
	return edit(s, func(i int, r *data.Record) {
		r.Captions = []string{at(i)}
		r.Questions = []data.QA{{Question: at(i + 1), Answer: at(i + 2)}, {Question: at(i + 3), Answer: "yes"}}
	})
}

// Whatever the texts are, every family's model trains on them and is evaluated on them; no
// text is longer than the plan allows.
func TestNoTextEndsARun(t *testing.T) {
	texts := oddTexts(12)
	for dir, family := range languageFolders(t) {
		lm := openFolder(t, family, dir)
		plan := stage2(1)
		plan.MaxTextTokens, plan.Evaluation = 12, train.Evaluation{Examples: 4}
		plan.Phases[0].Mix.Questions = 0.5
		plan.Phases[0].Objective = objective.LanguageModeling().For(family.Architecture)
		heard := &listening{LanguageModel: lm}
		s := newSession(t, tinyFor(t, lm, 0), heard, plan, t.TempDir())
		s.Train, s.Eval = oddRecords(s.Train, texts), oddRecords(s.Eval, texts)
		if _, err := s.Run(t.Context()); err != nil {
			t.Errorf("%s: %v", dir, err)
			continue
		}
		for _, req := range heard.asked {
			for i, e := range req.Examples {
				target := strings.TrimPrefix(e.Target, templates().TargetPrefix)
				counts, err := heard.CountTokens(t.Context(), []string{target})
				if err != nil || counts[0] > 11 {
					t.Errorf("%s: the target %d, %q, has %d tokens (%v)", dir, i, e.Target, counts[0], err)
				}
			}
		}
	}
}

// A model with a short context gets texts that fit in it, whatever the plan allows.
func TestTextsFitInTheContext(t *testing.T) {
	long := strings.Repeat("狗", 10000)
	for _, limit := range []int{0, 1000} {
		plan := stage2(1)
		plan.MaxTextTokens, plan.Evaluation = limit, train.Evaluation{Examples: 2, Captions: 1}
		plan.Phases[0].Mix.Questions = 0.5
		lm := openTinyOPT(t)
		s := newSession(t, tinyFor(t, lm, 0), lm, plan, t.TempDir())
		s.Train, s.Eval = oddRecords(s.Train, []string{long}), oddRecords(s.Eval, []string{long})
		if _, err := s.Run(t.Context()); err != nil {
			t.Errorf("max_text_tokens %d: %v", limit, err)
		}
	}
	plan := stage2(1)
	plan.Templates.Caption = strings.Repeat("a photo of ", 60)
	lm := openTinyOPT(t)
	s := newSession(t, tinyFor(t, lm, 0), lm, plan, t.TempDir())
	if _, err := s.Run(t.Context()); adapters.KindOf(err) != adapters.Invalid || !strings.Contains(err.Error(), "a photo of a photo of") {
		t.Errorf("a template that fills the context: %v", err)
	}
}

func openTinyOPT(t *testing.T) adapters.LanguageModel {
	t.Helper()
	return openFolder(t, opt.Family(), models("tiny-opt"))
}

// Texts that fit reach the model as they are; longer ones are cut, counted once each and
// logged with one of them.
func TestCutTextsAreCountedAndOthersLeft(t *testing.T) {
	var log bytes.Buffer
	plan := stage2(3)
	plan.MaxTextTokens, plan.Phases[0].Mix.Questions = 32, 0
	lm := &listening{LanguageModel: openTinyOPT(t)}
	s := newSession(t, tinyFor(t, lm, 0), lm, plan, t.TempDir())
	s.Log = slog.New(slog.NewTextHandler(&log, nil))
	long := strings.Repeat("日本", 100)
	s.Train = edit(s.Train, func(i int, r *data.Record) {
		if i%2 == 0 {
			r.Captions = []string{long + fmt.Sprint(i%4)}
		}
	})
	if _, err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	whole := captionSet(s.Train.Data)
	for c := range captionSet(s.Eval.Data) {
		whole[c] = 0
	}
	for _, req := range lm.asked {
		for _, e := range req.Examples {
			caption := strings.TrimPrefix(e.Target, " ")
			if _, same := whole[caption]; !same && !strings.HasPrefix(long, caption) {
				t.Errorf("the model reads %q", e.Target)
			}
		}
	}
	if lines := strings.Count(log.String(), "were cut"); lines != 1 || !strings.Contains(log.String(), "texts=2") || !strings.Contains(log.String(), "日本日本") {
		t.Errorf("the log has %q, want two texts counted in one line, with one of them", log.String())
	}
}

// Stage 1 cuts in the Q-Former's tokens, to data.max_text_tokens too.
func TestStage1CutsTexts(t *testing.T) {
	for _, limit := range []int{0, 8, 32, 100} {
		var log bytes.Buffer
		plan := onePhase(objective.Representation(), 1)
		plan.MaxTextTokens, plan.Evaluation = limit, train.Evaluation{Examples: 4}
		s := newSession(t, tiny(t, 0), nil, plan, t.TempDir())
		s.Log = slog.New(slog.NewTextHandler(&log, nil))
		s.Train, s.Eval = oddRecords(s.Train, oddTexts(30)), oddRecords(s.Eval, oddTexts(30))
		if _, err := s.Run(t.Context()); err != nil {
			t.Errorf("max_text_tokens %d: %v", limit, err)
		}
		if !strings.Contains(log.String(), "were cut") {
			t.Errorf("max_text_tokens %d: the log lacks the texts that were cut: %s", limit, log.String())
		}
	}
}

// countless is a model that cannot count tokens and, as a plugin may, names no example in its
// errors.
type countless struct {
	adapters.LanguageModel
	field bool
}

func (c countless) Spec() adapters.LanguageSpec {
	spec := c.LanguageModel.Spec()
	spec.Capabilities = slices.DeleteFunc(spec.Capabilities, func(c adapters.Capability) bool { return c == adapters.CapCountTokens })
	return spec
}

func (c countless) Loss(ctx context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	for i, e := range req.Examples {
		if strings.Contains(e.Target, "狗狗") {
			err := adapters.Errorf(adapters.Invalid, "too long")
			if c.field {
				err = err.WithField("examples[%d]", i)
			}
			return nil, err
		}
	}
	return c.LanguageModel.Loss(ctx, req)
}

// A model that cannot count tokens refuses a long text; the error names the text and the
// picture, and no place in a batch.
func TestRefusedTextsAreNamed(t *testing.T) {
	for _, held := range []bool{false, true} {
		for _, field := range []bool{false, true} {
			plan := stage2(1)
			plan.Phases[0].Mix.Questions, plan.Evaluation = 0, train.Evaluation{Examples: 6}
			lm := countless{fakeLanguage(), field}
			s := newSession(t, tinyFor(t, lm, 0), lm, plan, t.TempDir())
			changed, row := &s.Train, 5
			if held {
				changed, row = &s.Eval, 3
			}
			*changed = edit(*changed, func(i int, r *data.Record) {
				if i == row || !held { // in training, every picture of a batch
					r.Captions = []string{strings.Repeat("狗", 100+i)}
				}
			})
			_, err := s.Run(t.Context())
			if err == nil || adapters.KindOf(err) != adapters.Invalid {
				t.Fatalf("held out %v: %v", held, err)
			}
			message := err.Error()
			if !strings.Contains(message, "狗狗狗") || strings.Contains(message, "example") || len(message) > 600 {
				t.Errorf("held out %v: the error is %q", held, message)
			}
			if id := recordOf(changed.Data, row).ID; held && !strings.Contains(message, "picture "+id+":") || !strings.Contains(message, "picture ") {
				t.Errorf("held out %v: the error %q does not name the picture %s", held, message, id)
			}
		}
	}
}
