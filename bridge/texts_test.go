package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/bridge"
)

// blind is a vision encoder that no call may reach.
type blind struct {
	adapters.VisionEncoder
	t *testing.T
}

func (b blind) Encode(context.Context, *adapters.EncodeRequest) (*adapters.EncodeResponse, error) {
	b.t.Error("a picture was encoded")
	return nil, errors.New("blind")
}

// A prompt or question that is too long, or no text, is refused by name before a picture is
// encoded.
func TestLongQuestionsAreRefusedBeforeAPictureIsEncoded(t *testing.T) {
	lm := adaptertest.NewFakeLanguage("fake", 1)
	b, err := small(t).ForLanguage(lm.Spec(), bridge.Templates{Caption: "a photo of", Question: "Question: {} Answer:"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	m := &bridge.Model{Bridge: b, Vision: blind{t: t}, Language: lm}
	images := adapters.NewTensor(adapters.Uint8, 1, 4, 4, 3)
	room := lm.Spec().ContextTokens - 3 - len("Question:  Answer:") - 19 // 3 soft prompts, 20 new tokens
	for question, want := range map[string]string{
		strings.Repeat("x", room+1): `"` + strings.Repeat("x", 60) + `"…`,
		strings.Repeat("狗", 3000):   "狗狗",
		"is it \xff?":               "not valid UTF-8",
	} {
		for what, err := range map[string]error{
			"answer": func() error {
				_, err := m.Answer(t.Context(), images, []string{question}, bridge.GenerateOptions{})
				return err
			}(),
			"question": m.CheckQuestion(t.Context(), question, bridge.GenerateOptions{}),
			"prompt":   m.CheckPrompt(t.Context(), question+strings.Repeat("y", 18), bridge.GenerateOptions{}),
		} {
			if adapters.KindOf(err) != adapters.Invalid || !strings.Contains(err.Error(), want) || len(err.Error()) > 600 {
				t.Errorf("%s %.20q: %v, want an error with %q", what, question, err, want)
			}
		}
	}
	if err := m.CheckQuestion(t.Context(), strings.Repeat("x", room), bridge.GenerateOptions{}); err != nil {
		t.Errorf("a question that just fits: %v", err)
	}
	if _, err := m.AnswerFeatures(t.Context(), features(1), []string{strings.Repeat("x", room-1)}, bridge.GenerateOptions{}); err != nil {
		t.Errorf("the answer to a question that just fits: %v", err)
	}
}

// The remedy of a text without room can be followed: shortening is advised only if the text is
// long enough for that.
func TestRemediesOfTextsWithoutRoom(t *testing.T) {
	lm := adaptertest.NewFakeLanguage("fake", 1)
	b, err := small(t).ForLanguage(lm.Spec(), bridge.Templates{Caption: "a photo of", Question: "Question: {} Answer:"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	m := &bridge.Model{Bridge: b, Language: lm}
	for _, c := range []struct {
		text   string
		answer int
		want   string
	}{
		{"a photo of", 5000, "(ask for at most 4084 new tokens)"},
		{strings.Repeat("x", 5000), 20, "(shorten the prompt by 926 tokens)"},
		{strings.Repeat("x", 3000), 2000, "(shorten the prompt by 906 tokens, or ask for at most 1094 new tokens)"},
		{strings.Repeat("x", 5000), 5000, "(shorten the prompt and ask for fewer new tokens, 5906 tokens less in all)"},
	} {
		err := m.CheckPrompt(t.Context(), c.text, bridge.GenerateOptions{MaxNewTokens: c.answer})
		if err == nil || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%d characters, %d new tokens: %v, want %s", len(c.text), c.answer, err, c.want)
		}
	}
	err = m.CheckQuestion(t.Context(), "is it?", bridge.GenerateOptions{MaxNewTokens: 4080})
	if want := "(ask for at most 4070 new tokens)"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("the template is longer than the question: %v, want %s", err, want)
	}
}

// unlimited is an encoder-decoder without a context limit, as T5 is.
type unlimited struct{ *adaptertest.FakeLanguage }

func (u unlimited) Spec() adapters.LanguageSpec {
	spec := u.FakeLanguage.Spec()
	spec.Architecture, spec.ContextTokens = adapters.EncoderDecoder, 0
	return spec
}

// An encoder-decoder without a limit reads a long question, with a warning that counts it.
func TestLongQuestionsToModelsWithoutALimitAreWarnedOf(t *testing.T) {
	lm := unlimited{adaptertest.NewFakeLanguage("fake", 1)}
	b, err := small(t).ForLanguage(lm.Spec(), bridge.Templates{Question: "Question: {} Answer:"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	room := 512 - 3 - len("Question:  Answer:") - 1 // 3 soft prompts, and the end
	for length, want := range map[int]string{room: "", room + 1: "the question takes 509 tokens with its template", 9000: "the question takes 9018 tokens"} {
		var log strings.Builder
		m := &bridge.Model{Bridge: b, Language: lm, Log: slog.New(slog.NewTextHandler(&log, nil))}
		if err := m.CheckQuestion(t.Context(), strings.Repeat("x", length), bridge.GenerateOptions{}); err != nil {
			t.Error(err)
		}
		if (want == "") != (log.String() == "") || !strings.Contains(log.String(), want) || len(log.String()) > 600 {
			t.Errorf("%d characters: logged %q, want %q", length, log.String(), want)
		}
	}
}

// An error about an example names its text, in whatever way the adapter says it.
func TestErrorsNameTheText(t *testing.T) {
	request := &adapters.LossRequest{}
	for i := range 4 {
		request.Examples = append(request.Examples, adapters.Example{Segments: []adapters.Segment{adapters.TextSegment(fmt.Sprint("text ", i))}, Target: " end"})
	}
	field := adapters.Errorf(adapters.Invalid, "too long").WithField("examples[2].target").WithRemedy("shorten it")
	for name, c := range map[string]struct {
		err  error
		lm   adapters.LanguageModel
		want string // "" if the error stays
	}{
		"a field":         {field, nil, `the text "text 2 end": too long (shorten it)`},
		"wrapped":         {fmt.Errorf("plugin x: %w", field), nil, `the text "text 2 end": plugin x: too long`},
		"its own quote":   {adapters.Errorf(adapters.Invalid, "%q is too long", "text 1 end").WithField("examples[1]"), nil, `"text 1 end" is too long`},
		"no field":        {adapters.Errorf(adapters.Invalid, "too long"), picky{}, `the text "text 3 end": I cannot read this`},
		"of another kind": {adapters.Errorf(adapters.Unavailable, "gone").WithField("examples[1]"), nil, ""},
		"out of range":    {adapters.Errorf(adapters.Invalid, "no").WithField("examples[9]"), adaptertest.NewFakeLanguage("fake", 1), ""},
	} {
		got := bridge.BlameText(t.Context(), c.lm, request, c.err)
		if c.want == "" {
			if got != c.err {
				t.Errorf("%s: %v, want %v", name, got, c.err)
			}
			continue
		}
		var blamed *bridge.TextError
		if !errors.As(got, &blamed) || !strings.HasPrefix(got.Error(), c.want) || adapters.KindOf(got) != adapters.Invalid {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
}

// picky refuses one text and names no field.
type picky struct{ adapters.LanguageModel }

func (picky) Loss(_ context.Context, req *adapters.LossRequest) (*adapters.LossResponse, error) {
	for _, e := range req.Examples {
		if e.Segments[0].Text == "text 3" {
			return nil, adapters.Errorf(adapters.Invalid, "I cannot read this")
		}
	}
	return &adapters.LossResponse{}, nil
}
