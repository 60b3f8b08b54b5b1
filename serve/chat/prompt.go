package chat

import (
	"fmt"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
)

// Templates say what earlier turns and the system message read like to a language model. The last
// turn is asked like `bridge ask` and `bridge caption` ask.
type Templates struct {
	System string `toml:"system"` // {} is the system message; before the first text
	Turn   string `toml:"turn"`   // {question} is a turn in the bridge's template, {answer} its answer
}

// DefaultTemplates returns the templates of every kind of language model. They are those of BLIP-2's
// demonstrations: earlier questions and answers stand before the question, with full stops.
func DefaultTemplates() Templates {
	return Templates{System: "{} ", Turn: "{question} {answer}. "}
}

// Check returns an error for a template that would drop what a person wrote.
func (t Templates) Check() error {
	for _, c := range []struct{ name, template, needs string }{
		{"system", t.System, "{}"}, {"turn", t.Turn, "{question}"}, {"turn", t.Turn, "{answer}"},
	} {
		if strings.Count(c.template, c.needs) != 1 {
			return fmt.Errorf("%s is %q, want a text with %s once", c.name, c.template, c.needs)
		}
	}
	if strings.Index(t.Turn, "{question}") > strings.Index(t.Turn, "{answer}") {
		return fmt.Errorf("turn is %q, want {question} before {answer}", t.Turn)
	}
	return nil
}

// Prompt is a conversation as a language model reads it.
type Prompt struct {
	Segments []adapters.Segment // soft prompt i is Pictures[i]
	Pictures []Picture
}

// Picture is a picture of a conversation.
type Picture struct {
	URL   string
	Param string // its place in the request
}

// NewPrompt returns what a bridge's language model reads of a conversation that [CheckMessages]
// accepts.
//
// Each turn of the user is a question in the bridge's template, or a caption if it has no text.
// Pictures before and after a turn's text stand before the question, because bridges are trained
// so; a picture between texts stays in its place.
func NewPrompt(messages []Message, b bridge.Templates, t Templates) Prompt {
	w := promptWriter{bridge: b, templates: t}
	for i, m := range messages {
		at := fmt.Sprintf("messages[%d].content", i)
		switch m.Role {
		case System, Developer:
			w.system = append(w.system, m.text())
		case User:
			w.user(m.Content, at)
		case Assistant:
			w.answer(m.text())
		}
	}
	w.flush("")
	return w.prompt
}

// text joins the texts of a message.
func (m Message) text() string {
	var texts []string
	for _, p := range m.Content {
		if p.Text != nil {
			texts = append(texts, *p.Text)
		}
	}
	return strings.Join(texts, " ")
}

// promptWriter puts a conversation together.
type promptWriter struct {
	bridge    bridge.Templates
	templates Templates
	system    []string // not written yet
	prompt    Prompt
	turn      []piece // the user's, not written yet
}

// piece is a text or a picture of a turn.
type piece struct {
	text    string
	picture *Picture
}

// user adds a message of the user to the turn.
func (w *promptWriter) user(content Content, at string) {
	for i, p := range content {
		if p.Type == ImagePart {
			w.turn = append(w.turn, piece{picture: &Picture{URL: p.ImageURL.URL, Param: fmt.Sprintf("%s[%d].image_url.url", at, i)}})
		} else if !blank(*p.Text) {
			w.turn = append(w.turn, piece{text: *p.Text})
		}
	}
}

// answer ends the turn with an answer. Answers without a turn continue the last one.
func (w *promptWriter) answer(text string) {
	if len(w.turn) == 0 {
		w.add(piece{text: text + " "})
		return
	}
	before, after, _ := strings.Cut(w.templates.Turn, "{question}")
	w.asked(before, strings.ReplaceAll(after, "{answer}", text))
}

// flush writes the last turn.
func (w *promptWriter) flush(after string) { w.asked("", after) }

// asked writes the turn in the bridge's template, with texts around it.
func (w *promptWriter) asked(before, after string) {
	leading, rest := w.split()
	for _, p := range leading {
		w.add(p)
	}
	if len(w.system) > 0 {
		w.add(piece{text: strings.ReplaceAll(w.templates.System, "{}", strings.Join(w.system, " "))})
		w.system = nil
	}
	question := piece{text: w.bridge.Caption}
	if len(rest) > 0 {
		ahead, behind, _ := strings.Cut(w.bridge.Question, "{}")
		before, after = before+ahead, behind+after
		question = rest[0]
		rest = rest[1:]
	}
	w.add(piece{text: before})
	w.add(question)
	for i, p := range rest {
		if i == 0 && question.picture == nil && p.picture == nil || i > 0 && rest[i-1].picture == nil && p.picture == nil {
			p.text = " " + p.text
		}
		w.add(p)
	}
	w.add(piece{text: after})
	w.turn = nil
}

// split returns the pictures of the turn that stand before the question, and the rest.
func (w *promptWriter) split() (leading, rest []piece) {
	isText := func(p piece) bool { return p.picture == nil }
	first := slices.IndexFunc(w.turn, isText)
	if first < 0 {
		return w.turn, nil
	}
	last := len(w.turn) - 1
	for w.turn[last].picture != nil {
		last--
	}
	return slices.Concat(w.turn[:first], w.turn[last+1:]), w.turn[first : last+1]
}

// add appends a piece to the prompt. Neighbouring texts become one segment.
func (w *promptWriter) add(p piece) {
	segments := w.prompt.Segments
	switch {
	case p.picture != nil:
		w.prompt.Segments = append(segments, adapters.PromptSegment(len(w.prompt.Pictures)))
		w.prompt.Pictures = append(w.prompt.Pictures, *p.picture)
	case p.text == "":
	case len(segments) > 0 && !segments[len(segments)-1].IsPrompt:
		segments[len(segments)-1].Text += p.text
	default:
		w.prompt.Segments = append(segments, adapters.TextSegment(p.text))
	}
}
