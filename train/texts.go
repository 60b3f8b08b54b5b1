package train

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/record"
	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/internal/printable"
	"github.com/modular-bridging/bridge/train/textcut"
)

// textCutter cuts the texts of a run to what the plan allows and to what the language model
// can read. One goroutine uses it at a time.
type textCutter struct {
	counter adapters.TokenCounter // nil if the language model cannot count tokens
	limits  textLimits
	cut     map[cutText]string // the texts that were cut, as they are now
	first   string             // the first of them
	context int                // tokens that the language model reads; 0 if it has no limit
	queries int                // soft prompts of a picture
	long    int                // targets of sequences that did not fit into the context
	logged  int                // how many of them the log has
}

// cutText is a text and the number of tokens that it was cut to.
type cutText struct {
	text  string
	limit int
}

// textLimits are the most tokens of the parts of an example, the end of an answer not
// counted. rest is the part of a caption after a prefix. 0 is no limit.
type textLimits struct{ caption, prefix, rest, question, answer int }

// The most tokens of the captions and of the answers that evaluations generate (package
// eval).
const (
	captionTokens = 32
	answerTokens  = 16
)

// newTextCutter returns the cutter of the session's texts. It returns an error if the
// templates and the soft prompts leave no room for a text.
func (s *Session) newTextCutter(ctx context.Context) (*textCutter, error) {
	t := &textCutter{cut: map[cutText]string{}}
	if s.Language == nil { // stage 1: the Q-Former's tokenizer cuts, and evaluation to its own limit
		if limit := s.Plan.MaxTextTokens; limit > 0 && limit < bridge.MaxTextTokens && s.Bridge.Tokenizer() != nil {
			t.counter, t.limits.caption = s.Bridge.Tokenizer(), max(1, limit-2)
		}
		return t, nil
	}
	counter, ok := adapters.AsTokenCounter(s.Language)
	if !ok {
		return t, nil
	}
	t.counter = counter
	limit := max(0, s.Plan.MaxTextTokens-1) // the end of an answer is a token
	t.limits = textLimits{limit, limit, limit, limit, limit}
	spec := s.Language.Spec()
	if spec.ContextTokens == 0 {
		return t, nil
	}
	templates, queries := s.Plan.Templates, s.Bridge.Config().Queries
	t.context, t.queries = spec.ContextTokens, queries
	counts, err := counter.CountTokens(ctx, []string{templates.Caption, strings.ReplaceAll(templates.Question, "{}", ""), templates.TargetPrefix})
	if err != nil {
		return nil, err
	}
	caption, question, prefix := int(counts[0]), int(counts[1]), int(counts[2])
	// The sequence has a bos and an end, and joined texts may take a token more than each alone.
	room := spec.ContextTokens - queries - prefix - 4
	t.limits = limitsWithin(limit, room-caption, room-question)
	e := s.Plan.Evaluation
	generates := e.Examples > 0 && e.Captions+e.FinalCaptions > 0
	if t.limits.smallest() < 1 || generates && room-caption+3 < captionTokens {
		return nil, adapters.Errorf(adapters.Invalid, "%d soft prompts and the templates %s and %s leave no room for a text: %s reads at most %d tokens",
			queries, printable.Quote(templates.Caption), printable.Quote(templates.Question), spec.ID, spec.ContextTokens).
			WithRemedy("shorten the templates, or train for a language model with a longer context")
	}
	return t, nil
}

// limitsWithin returns limits of at most limit tokens, 0 being no limit, for texts that fit
// beside the template of captions and beside that of questions.
func limitsWithin(limit, captionRoom, questionRoom int) textLimits {
	most := func(room int) int {
		if limit == 0 {
			return room
		}
		return min(limit, room)
	}
	l := textLimits{caption: most(captionRoom), prefix: most(captionRoom / 2), answer: most(questionRoom / 2)}
	l.rest = most(captionRoom - l.prefix)
	l.question = most(questionRoom - max(l.answer, answerTokens))
	return l
}

func (l textLimits) smallest() int { return min(l.caption, l.prefix, l.rest, l.question, l.answer) }

// ofTurn returns the limit of a part of a sequence.
func (l textLimits) ofTurn(turn data.Turn) int {
	switch turn.Role {
	case record.Question:
		return l.question
	case record.Answer:
		return l.answer
	}
	return l.caption
}

// fitting returns the examples of a sequence that the language model can read: those before
// the first that is too long. The error is about the record if there are none.
func (t *textCutter) fitting(ctx context.Context, examples []adapters.Example) ([]adapters.Example, error) {
	if t.counter == nil || t.context == 0 {
		return examples, nil
	}
	texts := make([]string, len(examples))
	for i, e := range examples {
		texts[i] = textOf(e)
	}
	counts, err := t.counter.CountTokens(ctx, texts)
	if err != nil {
		return nil, err
	}
	for i, e := range examples {
		const ends = 4 // bos, the end, and joined texts may take more tokens than each alone
		prompts := 0
		for _, s := range e.Segments {
			if s.IsPrompt {
				prompts++
			}
		}
		if int(counts[i])+prompts*(t.queries+1)+ends > t.context {
			t.long += len(examples) - i
			return examples[:i], nil
		}
	}
	return examples, nil
}

// textOf returns all texts of an example.
func textOf(e adapters.Example) string {
	var all strings.Builder
	for _, s := range e.Segments {
		all.WriteString(s.Text)
	}
	all.WriteString(e.Target)
	return all.String()
}

// truncate returns texts cut to limit tokens, each to the longest prefix of whole characters
// that fits. It returns texts as they are if there is no limit or if the language model
// cannot count tokens: it refuses those that are too long, then.
func (t *textCutter) truncate(ctx context.Context, limit int, texts []string) ([]string, error) {
	if limit == 0 || t.counter == nil {
		return texts, nil
	}
	out := make([]string, len(texts))
	var rows []int
	var uncounted []string
	for i, text := range texts {
		cut, known := t.cut[cutText{text, limit}]
		switch {
		case known:
			out[i] = cut
		case isShort(text, limit):
			out[i] = text
		default:
			rows, uncounted = append(rows, i), append(uncounted, text)
		}
	}
	if len(rows) == 0 {
		return out, nil
	}
	counts, err := t.counter.CountTokens(ctx, uncounted)
	if err != nil {
		return nil, err
	}
	for k, row := range rows {
		out[row] = texts[row]
		if int(counts[k]) <= limit {
			continue
		}
		if out[row], err = textcut.Longest(ctx, t.counter, texts[row], limit); err != nil {
			return nil, err
		}
		t.note(cutText{texts[row], limit}, out[row])
	}
	return out, nil
}

// isShort reports a text that has at most limit tokens for certain. A token has at least
// one byte unless a normalizer lengthens the text, which it does to no ASCII. A tokenizer
// may put a token before the text.
func isShort(text string, limit int) bool {
	return len(text) < limit && !strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
}

// note remembers a text that was cut.
func (t *textCutter) note(text cutText, short string) {
	if len(t.cut) == 0 {
		t.first = text.text
	}
	t.cut[text] = short
}

// samples returns the samples of a batch with their texts cut.
func (t *textCutter) samples(ctx context.Context, batch []data.Sample) ([]data.Sample, error) {
	batch = append([]data.Sample(nil), batch...)
	parts := map[int][]*string{} // texts by limit
	add := func(limit int, text *string) { parts[limit] = append(parts[limit], text) }
	for i := range batch {
		sample := &batch[i]
		switch {
		case sample.Turns != nil:
			sample.Turns = slices.Clone(sample.Turns)
			for j := range sample.Turns {
				add(t.limits.ofTurn(sample.Turns[j]), &sample.Turns[j].Text)
			}
		case sample.Question != nil:
			q := *sample.Question
			sample.Question = &q
			add(t.limits.question, &q.Question)
			add(t.limits.answer, &q.Answer)
		case sample.Prefix != "":
			add(t.limits.prefix, &sample.Prefix)
			add(t.limits.rest, &sample.Caption)
		default:
			add(t.limits.caption, &sample.Caption)
		}
	}
	for limit, texts := range parts {
		all := make([]string, len(texts))
		for i, text := range texts {
			all[i] = *text
		}
		all, err := t.truncate(ctx, limit, all)
		if err != nil {
			return nil, err
		}
		for i, text := range texts {
			*text = all[i]
		}
	}
	return batch, nil
}

// questions cuts the questions that an evaluation asks. The answers that it expects stay.
func (t *textCutter) questions(ctx context.Context, questions []eval.Question) error {
	all := make([]string, len(questions))
	for i, q := range questions {
		all[i] = q.Question
	}
	all, err := t.truncate(ctx, t.limits.question, all)
	for i := range all {
		questions[i].Question = all[i]
	}
	return err
}

// logCut logs how many texts the run has cut, if the log does not have it yet.
func (s *Session) logCut() {
	t := s.texts
	if t != nil && t.long > 0 {
		s.Log.Warn("answers of conversations, or texts of documents, come after more tokens than the language model reads, and were not trained on",
			"times", t.long, "tokens", t.context)
		t.long = 0
	}
	if t == nil || len(t.cut) == t.logged {
		return
	}
	t.logged = len(t.cut)
	s.Log.Info("texts are longer than data.max_text_tokens or than the language model reads, and were cut",
		"texts", t.logged, "max_text_tokens", s.Plan.MaxTextTokens, "the first", printable.Quote(t.first))
}
