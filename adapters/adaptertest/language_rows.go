package adaptertest

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/modular-bridging/bridge/adapters"
)

// rows lists the cases of what a server needs: options of each example, answers that end early,
// and what is known about tokens.
func (l *languageList) rows() {
	l.add(Info{"generation: options of each example", "each example is answered by its own options, as it is alone; the copy of an example selects its random numbers",
		ruleGeneration, "keep the options with each row of the batch, or compute rows with equal options together; draw from a generator of seed, example and copy"},
		adapters.CapRowOptions, (*languageCases).testRows)
	l.add(Info{"generation: rows that are no rows", "options of fewer or more examples than there are, or one that is out of range, are refused with kind invalid",
		ruleGeneration, "call req.Check(spec) (Go), or let the SDK check"}, adapters.CapRowOptions, (*languageCases).testWrongRows)
	l.add(Info{"generation: stop texts", "an answer ends before the first stop text in it; no part of a stop text is streamed",
		ruleGeneration, "look for the stop texts in the decoded text, across tokens; hold back an end that may begin one (Go: adapters.CutAtStop and HoldBack, Python: bridge_plugin.stop)"},
		adapters.CapStop, (*languageCases).testStop)
	l.add(Info{"generation: log-probabilities", "each token of an answer has its log-probability by the model's own logits, and those of the most probable tokens; the pieces have the same ones",
		ruleGeneration, "take the log-softmax of the logits before penalties, temperature, top-k and top-p; leave the end token out"},
		adapters.CapLogProbs, (*languageCases).testLogProbs)
	l.add(Info{"generation: a canceled example", "an example that is canceled ends where it is, and the others have the answers that they have without it",
		ruleGeneration, "receive from the request's channel between two tokens, and leave canceled rows out of what follows (Python: context.cancelled_examples)"},
		adapters.CapCancelRows, (*languageCases).testCancelRow)
	l.add(Info{"generation: counts of input tokens", "the response has the positions of each input: its tokens, those that the model adds, and the rows of its soft prompts",
		ruleGeneration, "count each row's positions without padding"}, adapters.CapTokenCounts, (*languageCases).testInputTokens)
}

// alone returns the answer to example i of a request with rows.
func (l *languageCases) alone(t T, req *adapters.GenerateRequest, i int) *adapters.GenerateResponse {
	t.Helper()
	one := *req
	one.Examples, one.Rows = req.Examples[i:i+1], req.Rows[i:i+1]
	return l.generate(t, &one, nil)
}

func (l *languageCases) testRows(t T) {
	req := l.generateRequest()
	req.Options = adapters.GenerateOptions{MaxNewTokens: 1} // not used
	req.Rows = []adapters.GenerateOptions{{MaxNewTokens: 6}, {MaxNewTokens: 3}, {MaxNewTokens: 9, MinNewTokens: 9}, {MaxNewTokens: 2, MinNewTokens: 2}}
	pieces := make([]string, len(req.Rows))
	got := l.generate(t, req, func(p adapters.Piece) error {
		pieces[p.Example] += p.Text
		return nil
	})
	for i, o := range req.Rows {
		if n := int(got.Tokens[i]); n > o.MaxNewTokens || n < max(1, o.MinNewTokens) {
			t.Errorf("answer %d has %d tokens, want %d to %d by its own options", i, n, max(1, o.MinNewTokens), o.MaxNewTokens)
		}
		if text := strings.TrimSpace(pieces[i]); text != got.Texts[i] {
			t.Errorf("the pieces of answer %d are %q, the answer is %q", i, text, got.Texts[i])
		}
		if alone := l.alone(t, req, i); l.exact() && alone.Texts[0] != got.Texts[i] {
			t.Errorf("answer %d is %q alone, beside other options %q", i, alone.Texts[0], got.Texts[i])
		}
	}
	same := *req
	same.Options, same.Rows = req.Rows[0], nil
	if want := l.generate(t, &same, nil); l.exact() && want.Texts[0] != got.Texts[0] {
		t.Errorf("answer 0 is %q by options of its own, by those of the request %q", got.Texts[0], want.Texts[0])
	}
	l.testCopies(t)
}

// testCopies samples copies of one example.
func (l *languageCases) testCopies(t T) {
	req := l.generateRequest()
	req.Examples = slices.Repeat(req.Examples[:1], 3)
	o := adapters.GenerateOptions{MaxNewTokens: 8, MinNewTokens: 8, Sample: true, Seed: 4}
	req.Rows = []adapters.GenerateOptions{o, o, o}
	req.Rows[1].Copy = 1
	got, err := l.m.Generate(t.Context(), req, nil)
	if adapters.KindOf(err) == adapters.Unsupported {
		return // sampling is refused, as it may be
	}
	if err != nil {
		t.Fatalf("generate: %v", err)
	}
	if l.exact() && (got.Texts[0] != got.Texts[2] || got.Texts[0] == got.Texts[1]) {
		t.Errorf("copies 0, 1 and 0 of an example are answered %q, want the first and the last equal, and another one between them", got.Texts)
	}
	counted := *req
	counted.Options, counted.Rows = o, nil
	if want := l.generate(t, &counted, nil); l.exact() && !slices.Equal(want.Texts[:2], got.Texts[:2]) {
		t.Errorf("copies 0 and 1 are answered %q, two equal examples of a request %q", got.Texts[:2], want.Texts[:2])
	}
}

func (l *languageCases) testWrongRows(t T) {
	for what, rows := range map[string][]adapters.GenerateOptions{
		"one too few":         make([]adapters.GenerateOptions, 3),
		"one too many":        make([]adapters.GenerateOptions, 5),
		"a top-p of 2":        {{}, {TopP: 2}, {}, {}},
		"a negative copy":     {{}, {}, {Copy: -1}, {}},
		"an empty stop text":  {{}, {}, {Stop: []string{""}}, {}},
		"21 log-probs":        {{LogProbs: true, TopLogProbs: 21}, {}, {}, {}},
		"no log-probs, but 2": {{TopLogProbs: 2}, {}, {}, {}},
	} {
		for _, o := range rows {
			if len(o.Stop) > 0 && !l.spec.Has(adapters.CapStop) || o.LogProbs && !l.spec.Has(adapters.CapLogProbs) {
				rows = nil // refused as unsupported
			}
		}
		if rows == nil {
			continue
		}
		req := l.generateRequest()
		req.Rows = rows
		_, err := l.m.Generate(t.Context(), req, nil)
		wantKind(t, "generate, rows with "+what, err, adapters.Invalid)
	}
}

// middleOf returns two characters from the second half of an answer. Neither is white space: that
// around an answer is trimmed, so nobody sees whether it has a stop text.
func middleOf(runes []rune) string {
	for i := len(runes) / 2; i+1 < len(runes); i++ {
		if !unicode.IsSpace(runes[i]) && !unicode.IsSpace(runes[i+1]) {
			return string(runes[i : i+2])
		}
	}
	return ""
}

// testStop asks for an answer, and again with a part of it as a stop text.
func (l *languageCases) testStop(t T) {
	req := l.generateRequest()
	req.Examples = req.Examples[:1]
	req.Options.MinNewTokens, req.Options.MaxNewTokens = 12, 12
	whole := l.generate(t, req, nil).Texts[0]
	runes := []rune(whole)
	if len(runes) < 6 {
		t.Skipf("the answer %q is too short to end it", whole)
	}
	stop := middleOf(runes)
	if stop == "" {
		t.Skipf("the answer %q has no two letters together", whole)
	}
	req.Options.Stop = []string{"\x00 not in any answer", stop}
	before, _ := adapters.CutAtStop(whole, req.Options.Stop)
	streamed := ""
	got := l.generate(t, req, func(p adapters.Piece) error {
		streamed += p.Text
		return nil
	})
	if want := strings.TrimSpace(before); got.Texts[0] != want {
		t.Errorf("the answer %q ends before %q as %q, want %q", whole, stop, got.Texts[0], want)
	}
	if strings.TrimSpace(streamed) != got.Texts[0] {
		t.Errorf("the pieces are %q, the answer is %q", streamed, got.Texts[0])
	}
	l.wantFinish(t, got, adapters.FinishStop)
	if got.Tokens[0] > 12 {
		t.Errorf("the answer has %d tokens, want at most 12", got.Tokens[0])
	}
	req.Options.Stop = req.Options.Stop[:1]
	if got := l.generate(t, req, nil); got.Texts[0] != whole {
		t.Errorf("with a stop text that is not in it the answer is %q, without %q", got.Texts[0], whole)
	} else {
		l.wantFinish(t, got, adapters.FinishLength)
	}
}

// wantFinish checks the reason for the end of the first answer.
func (l *languageCases) wantFinish(t T, r *adapters.GenerateResponse, want adapters.FinishReason) {
	t.Helper()
	if len(r.Finish) == 0 || r.Finish[0] != want {
		t.Errorf("the finish reasons are %v, want %q for the first answer", r.Finish, want)
	}
}

func (l *languageCases) testLogProbs(t T) {
	req := l.generateRequest()
	req.Options.LogProbs, req.Options.TopLogProbs = true, 3
	pieces := make([][]adapters.TokenLogProb, len(req.Examples))
	got := l.generate(t, req, func(p adapters.Piece) error {
		pieces[p.Example] = append(pieces[p.Example], p.LogProbs...)
		return nil
	})
	for i, tokens := range got.LogProbs {
		if n := int(got.Tokens[i]) - len(tokens); n != 0 && n != 1 {
			t.Errorf("answer %d has %d tokens and %d log-probabilities, want one for each but the end token", i, got.Tokens[i], len(tokens))
		}
		if !reflect.DeepEqual(pieces[i], tokens) {
			t.Errorf("the pieces of answer %d have the log-probabilities %v, the response %v", i, pieces[i], tokens)
		}
		checkTokens(t, fmt.Sprintf("answer %d, %q", i, got.Texts[i]), got.Texts[i], tokens)
	}
	l.testFirstToken(t, req, got)
	processed := *req
	processed.Options.Sample, processed.Options.TopK, processed.Options.Temperature = true, 1, 50
	again, err := l.m.Generate(t.Context(), &processed, nil)
	if adapters.KindOf(err) == adapters.Unsupported {
		return // sampling is refused, as it may be
	}
	if err != nil {
		t.Fatalf("generate: %v", err)
	}
	for i, tokens := range again.LogProbs {
		if again.Texts[i] == got.Texts[i] {
			wantClose(t, fmt.Sprintf("log-probabilities of answer %d, sampled at a high temperature with top-k 1, beside greedy search", i),
				logProbs(tokens), logProbs(got.LogProbs[i]), l.o.Tolerance)
		}
	}
}

// checkTokens checks the tokens of an answer, each with the three most probable ones.
func checkTokens(t T, what, text string, tokens []adapters.TokenLogProb) {
	t.Helper()
	var joined []byte
	known := true
	for j, token := range tokens {
		joined, known = append(joined, token.Bytes...), known && token.Bytes != nil
		if len(token.Top) != 3 {
			t.Errorf("%s: token %d has the log-probabilities of %d tokens beside it, want 3", what, j, len(token.Top))
			continue
		}
		if token.LogProb > token.Top[0].LogProb+1e-4 {
			t.Errorf("%s: token %d has log-probability %g, the most probable one %g", what, j, token.LogProb, token.Top[0].LogProb)
		}
		for k := 1; k < len(token.Top); k++ {
			if token.Top[k].LogProb > token.Top[k-1].LogProb {
				t.Errorf("%s: the most probable tokens at %d are not in order: %v", what, j, token.Top)
			}
		}
	}
	if known && utf8.Valid(joined) && strings.TrimSpace(string(joined)) != text {
		t.Errorf("%s: the tokens' bytes make %q", what, joined)
	}
}

// testFirstToken compares an answer of one token with the loss: the token and the end after it
// are at most as probable as the token.
func (l *languageCases) testFirstToken(t T, req *adapters.GenerateRequest, got *adapters.GenerateResponse) {
	for i, e := range req.Examples {
		if len(got.LogProbs[i]) == 0 || e.Segments[len(e.Segments)-1].IsPrompt {
			continue
		}
		sum := 0.0
		for _, token := range got.LogProbs[i] {
			sum += float64(token.LogProb)
		}
		e.Target = got.Texts[i]
		if bytes := got.LogProbs[i][0].Bytes; len(bytes) > 0 && bytes[0] == ' ' {
			e.Target = " " + e.Target
		}
		loss := l.loss(t, &adapters.LossRequest{Prompts: req.Prompts, Examples: []adapters.Example{e}})
		if int(loss.Tokens[0]) == len(got.LogProbs[i])+1 && -float64(loss.Loss[0]) > sum+l.o.Tolerance*(1+math.Abs(sum)) {
			t.Errorf("the tokens of answer %d, %q, have log-probability %g together, by the loss it is %g with the end token", i, got.Texts[i], sum, -loss.Loss[0])
		}
	}
}

func logProbs(tokens []adapters.TokenLogProb) (out []float32) {
	for _, t := range tokens {
		out = append(out, t.LogProb)
	}
	return out
}

// testCancelRow cancels one example before the call, and one while it runs.
func (l *languageCases) testCancelRow(t T) {
	req := l.generateRequest()
	n := 64
	if c := l.spec.ContextTokens; c > 0 {
		n = max(2, min(n, c/4))
	}
	req.Options.MinNewTokens, req.Options.MaxNewTokens = n, n
	want := l.generate(t, req, nil)
	cancel := make(chan int, len(req.Examples)+2)
	cancel <- 1
	cancel <- 1
	cancel <- len(req.Examples) // is in no request
	req.Cancel = cancel
	var first, last time.Time // of the pieces of example 0
	got := l.generate(t, req, func(p adapters.Piece) error {
		if p.Example == 0 {
			if last = time.Now(); first.IsZero() {
				first = last
				cancel <- 0
			}
		}
		return nil
	})
	took := last.Sub(first)
	for i := range req.Examples {
		switch {
		case i == 1 && (got.Finish == nil || got.Finish[1] != adapters.FinishCanceled || int(got.Tokens[1]) >= n):
			t.Errorf("canceled before the call, example 1 has %d tokens and the finish reasons are %v, want fewer than %d and %q", got.Tokens[1], got.Finish, n, adapters.FinishCanceled)
		case i == 1:
		case i == 0 && got.Finish != nil && got.Finish[0] == adapters.FinishCanceled:
			if int(got.Tokens[0]) >= n {
				t.Errorf("canceled at its first piece, example 0 has %d tokens, want fewer than %d", got.Tokens[0], n)
			}
		case i == 0 && took > 2*time.Second:
			t.Errorf("canceled at its first piece, example 0 has been streamed for another %v", took.Round(time.Millisecond))
		case got.Texts[i] != want.Texts[i] && l.exact():
			t.Errorf("beside canceled examples, answer %d is %q, without them %q", i, got.Texts[i], want.Texts[i])
		}
	}
}

func (l *languageCases) testInputTokens(t T) {
	req := l.generateRequest()
	got := l.generate(t, req, nil)
	for i := range req.Examples {
		one := *req
		one.Examples = req.Examples[i : i+1]
		if alone := l.generate(t, &one, nil); len(alone.InputTokens) != 1 || len(got.InputTokens) <= i || alone.InputTokens[0] != got.InputTokens[i] {
			t.Errorf("the counts of input tokens are %v, of example %d alone %v", got.InputTokens, i, alone.InputTokens)
			return
		}
	}
	// Example 0 is example 3 after a soft prompt.
	if with, without := int(got.InputTokens[0]), int(got.InputTokens[3]); with != without+l.o.QueryTokens {
		t.Errorf("a text takes %d positions, after a soft prompt of %d rows %d", without, l.o.QueryTokens, with)
	}
	if counter, ok := adapters.AsTokenCounter(l.m); ok {
		counts, err := counter.CountTokens(t.Context(), l.o.Texts[:1])
		if err != nil {
			t.Fatalf("count tokens: %v", err)
		}
		if n := got.InputTokens[3]; n < counts[0] || n > counts[0]+2 {
			t.Errorf("the text %q has %d tokens and takes %d positions, want at most two more", l.o.Texts[0], counts[0], n)
		}
	}
}
