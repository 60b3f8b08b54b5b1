package chat

import (
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
)

// parse returns the request of a body, which must be accepted.
func parse(t *testing.T, body string) *Request {
	t.Helper()
	r, err := Parse([]byte(body), DefaultLimits())
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return r
}

// reads returns what a language model reads of messages: <0> is soft prompt 0.
func reads(t *testing.T, messages string) string {
	t.Helper()
	r := parse(t, `{"model":"m","messages":[`+messages+`]}`)
	p := NewPrompt(r.Messages, bridge.Templates{Caption: "a photo of", Question: "Question: {} Answer:"}, DefaultTemplates())
	var b strings.Builder
	for i, s := range p.Segments {
		if s.IsPrompt {
			b.WriteString("<" + p.Pictures[s.Prompt].URL + ">")
		} else {
			b.WriteString(s.Text)
			if i > 0 && !p.Segments[i-1].IsPrompt {
				t.Errorf("two texts side by side: %+v", p.Segments)
			}
		}
	}
	return b.String()
}

func TestWhatTheModelReads(t *testing.T) {
	text := func(s string) string { return `{"type":"text","text":"` + s + `"}` }
	picture := func(s string) string { return `{"type":"image_url","image_url":{"url":"` + s + `"}}` }
	user := func(parts ...string) string {
		return `{"role":"user","content":[` + strings.Join(parts, ",") + `]}`
	}
	say := func(role, s string) string { return `{"role":"` + role + `","content":"` + s + `"}` }
	for _, c := range []struct{ messages, want string }{
		{user(picture("A")), "<A>a photo of"},
		{user(picture("A"), text("what?")), "<A>Question: what? Answer:"},
		{user(text("what?"), picture("A")), "<A>Question: what? Answer:"},
		{user(picture("A"), text("what?"), picture("B")), "<A><B>Question: what? Answer:"},
		{user(text("is"), picture("A"), text("like"), picture("B"), text("?")), "Question: is<A>like<B>? Answer:"},
		{user(text("one"), text("two"), picture("A")), "<A>Question: one two Answer:"},
		{user(text(" "), picture("A")), "<A>a photo of"},
		{say("user", "hi"), "Question: hi Answer:"},
		{say("system", "Be brief.") + "," + user(picture("A"), text("what?")), "<A>Be brief. Question: what? Answer:"},
		{say("developer", "Be") + "," + say("system", "brief.") + "," + say("user", "hi"), "Be brief. Question: hi Answer:"},
		{user(picture("A"), text("what?")) + "," + say("assistant", "a dog") + "," + say("user", "what color?"),
			"<A>Question: what? Answer: a dog. Question: what color? Answer:"},
		{user(picture("A")) + "," + say("assistant", "a dog") + "," + user(picture("B"), text("and this?")),
			"<A>a photo of a dog. <B>Question: and this? Answer:"},
		{say("user", "one") + "," + say("user", "two"), "Question: one two Answer:"},
		{say("assistant", "hello") + "," + say("user", "hi"), "hello Question: hi Answer:"},
		{say("user", "{answer} {} {question}") + "," + say("assistant", "{question}") + "," + say("user", "b"),
			"Question: {answer} {} {question} Answer: {question}. Question: b Answer:"},
	} {
		if got := reads(t, c.messages); got != c.want {
			t.Errorf("%s\nreads %q, want %q", c.messages, got, c.want)
		}
	}
}

// The options of a request without any must be those of `bridge ask`.
func TestOptions(t *testing.T) {
	const head = `{"model":"m","messages":[{"role":"user","content":"hi"}]`
	o := parse(t, head+`,"top_p":0.5,"seed":3,"top_k":7,"temperature":0}`).Options(DefaultLimits(), 9)
	if want := (adapters.GenerateOptions{MaxNewTokens: 20, TopK: 50}); o.Sample || o.MaxNewTokens != want.MaxNewTokens || o.TopK != want.TopK || o.TopP != 0 || o.Seed != 0 {
		t.Errorf("greedy: %+v, want %+v", o, want)
	}
	o = parse(t, head+`,"temperature":0.5,"top_p":0.9,"seed":-1,"min_tokens":2,"max_tokens":30,"repetition_penalty":1.2,"stop":"x","logprobs":true,"top_logprobs":3}`).Options(DefaultLimits(), 9)
	if !o.Sample || o.Temperature != 0.5 || o.TopP != 0.9 || o.Seed != math.MaxUint64 || o.MinNewTokens != 2 || o.MaxNewTokens != 30 ||
		o.RepetitionPenalty != 1.2 || !slices.Equal(o.Stop, []string{"x"}) || !o.LogProbs || o.TopLogProbs != 3 || o.TopK != 50 {
		t.Errorf("all options: %+v", o)
	}
	if o := parse(t, head+`,"temperature":1,"num_beams":1,"top_k":0}`).Options(DefaultLimits(), 9); o.Seed != 9 || o.TopK != 0 || o.NumBeams != 1 {
		t.Errorf("sampling without a seed: %+v", o)
	}
}

// Clients send these fields without meaning anything by them.
func TestFieldsThatAskForNothing(t *testing.T) {
	for _, more := range []string{
		`"tools":[]`, `"tools":null`, `"tool_choice":"auto"`, `"response_format":{ "type" : "text" }`, `"frequency_penalty":0`, `"presence_penalty":0.0`,
		`"logit_bias":{}`, `"user":"me"`, `"metadata":{"a":"b"}`, `"store":false`, `"stop":null`, `"temperature":null`, `"stream":null`, `"n":null`, `"stop":[]`,
		`"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}`, `"top_p":1`, `"modalities":["text"]`, `"max_tokens":5,"max_completion_tokens":5`,
	} {
		parse(t, `{"model":"m","messages":[{"role":"user","content":"hi","name":"me"},{"role":"assistant","content":"x","refusal":null,"annotations":[],"tool_calls":[]},{"role":"user","content":"y"}],`+more+`}`)
	}
}

func TestTemplates(t *testing.T) {
	if err := DefaultTemplates().Check(); err != nil {
		t.Error(err)
	}
	for _, bad := range []Templates{{System: "x", Turn: "{question}{answer}"}, {System: "{}", Turn: "{question}"}, {System: "{}", Turn: "{answer}{question}"}, {System: "{}{}", Turn: "{question}{answer}"}} {
		if bad.Check() == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}

func TestGauge(t *testing.T) {
	for _, c := range []struct{ right, other, none, want float64 }{
		{-1, -1, -5, 0}, {-2, -1, -5, 0}, {0, math.Log(0.25), -9, 0.75}, {0, -9, math.Log(0.5), 0.5}, {0, math.Inf(-1), math.Inf(-1), 1}, {math.Inf(-1), math.Inf(-1), math.Inf(-1), 0},
	} {
		if got := Gauge(c.right, c.other, c.none); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("Gauge(%v, %v, %v) = %v, want %v", c.right, c.other, c.none, got, c.want)
		}
	}
}

func TestLogProbs(t *testing.T) {
	l := NewLogProbs([]adapters.TokenLogProb{{Text: "é", Bytes: []byte{0xc3, 0xa9}, LogProb: 1e-6, Top: []adapters.TokenLogProb{{Text: "x", LogProb: float32(math.Inf(-1))}}}})
	if got := l.Content[0]; got.LogProb != 0 || !slices.Equal(got.Bytes, []int{0xc3, 0xa9}) || got.TopLogProbs[0].LogProb != -9999 || got.TopLogProbs[0].Bytes != nil {
		t.Errorf("%+v", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"model":"m","messages":[{"role":"user","content":"hi"}]}`,
		`{"model":"m","messages":[{"role":"system","content":"a"},{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:,"}},{"type":"text","text":"x"}]}],"stop":["a"],"n":2,"temperature":1,"logprobs":true}`,
		`{"messages":null}`, `[]`, `{"model":1e999}`, "{\"model\":\"\xff\"}", `{"tools":[[[[`, `{"stop":{"a":1}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := Parse(body, DefaultLimits())
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Status != http.StatusBadRequest || e.Message == "" || e.Kind == "" {
				t.Errorf("%q: %#v is no error for a client", body, err)
			}
			return
		}
		p := NewPrompt(r.Messages, bridge.Templates{Caption: "a", Question: "{}?"}, DefaultTemplates())
		prompts := 0
		for _, s := range p.Segments {
			if s.IsPrompt {
				prompts++
			}
		}
		if len(p.Segments) == 0 || prompts != len(p.Pictures) {
			t.Errorf("%q: %d segments with %d of %d pictures", body, len(p.Segments), prompts, len(p.Pictures))
		}
		o := adapters.GenerateRequest{Examples: []adapters.Example{{Segments: []adapters.Segment{adapters.TextSegment("")}}}, Options: r.Options(DefaultLimits(), 1)}
		if err := o.Check(adapters.LanguageSpec{Spec: adapters.Spec{Capabilities: adapters.LanguageCapabilities()}}); err != nil {
			t.Errorf("%q: accepted, and the model refuses it: %v", body, err)
		}
	})
}

func FuzzParseGrounding(f *testing.F) {
	f.Add([]byte(`{"model":"m","answer":"a","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}],"other":{"url":"y"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if r, err := ParseGrounding(body, DefaultLimits()); err == nil && (r.Answer == "" || len(r.Messages) == 0) {
			t.Errorf("%q is accepted", body)
		}
	})
}
