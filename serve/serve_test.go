package serve

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/serve/chat"
	"github.com/modular-bridging/bridge/serve/config"
	"github.com/modular-bridging/bridge/workspace"
)

// testModel is the bridge of most tests.
const testModel = "kit:stage2"

// shared is the server of the tests that need no settings of their own. Its bridge is opened once.
var shared struct {
	once   sync.Once
	server *Server
	http   *httptest.Server
	err    error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.http != nil {
		shared.http.Close()
		shared.server.Close()
	}
	os.Exit(code)
}

func testConfig() config.Config {
	c := config.Default()
	c.Bridges = []config.Bridge{{Name: testModel, Model: testModel, Backend: "go"}}
	return c
}

// sharedServer returns the shared server and its URL.
func sharedServer(t testing.TB) (*Server, string) {
	t.Helper()
	shared.once.Do(func() {
		shared.server = New(Options{Workspace: workspace.New(workspace.Options{}), Config: testConfig()})
		shared.err = shared.server.Load(context.Background())
		shared.http = httptest.NewServer(shared.server.Handler())
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server, shared.http.URL
}

// withConfig returns the URL of a server with other settings and the shared server's bridges.
func withConfig(t *testing.T, change func(*config.Config)) string {
	t.Helper()
	s, _ := sharedServer(t)
	c := testConfig()
	change(&c)
	other := &Server{log: s.log, workspace: s.workspace, fleet: s.fleet, engine: s.engine, pictures: s.pictures, metrics: s.metrics,
		bodies: newBudget(c.Limits.BodiesBytes), started: s.started}
	other.config.Store(&c)
	return newTestServer(t, other)
}

// newTestServer serves s until the test ends and returns its URL.
func newTestServer(t *testing.T, s *Server) string {
	h := httptest.NewServer(s.Handler())
	t.Cleanup(h.Close)
	return h.URL
}

// ask returns the body of a chat request about pictures, which come before the text.
func ask(text string, pictures ...string) map[string]any {
	var parts []any
	for _, p := range pictures {
		parts = append(parts, map[string]any{"type": "image_url", "image_url": map[string]any{"url": p}})
	}
	if text != "" {
		parts = append(parts, map[string]any{"type": "text", "text": text})
	}
	return map[string]any{"model": testModel, "messages": []any{map[string]any{"role": "user", "content": parts}}}
}

// with returns a copy of a body with more fields.
func with(body map[string]any, more map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range body {
		out[k] = v
	}
	for k, v := range more {
		out[k] = v
	}
	return out
}

// reply is an answer of the server.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func send(t testing.TB, method, url string, header map[string]string, body io.Reader) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		if k == "Host" {
			req.Host = v
		}
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, out}
}

func post(t testing.TB, url string, body any) reply {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return send(t, http.MethodPost, url, map[string]string{"Content-Type": "application/json"}, bytes.NewReader(text))
}

// completed returns the answer to a chat request, which must succeed.
func completed(t testing.TB, url string, body any) chat.Completion {
	t.Helper()
	r := post(t, url+"/v1/chat/completions", body)
	var c chat.Completion
	if r.status != http.StatusOK || json.Unmarshal(r.body, &c) != nil {
		t.Fatalf("status %d: %s", r.status, r.body)
	}
	return c
}

// dataURL returns a picture of the kit as a data URL.
func dataURL(t testing.TB, split kit.Split, i int) string {
	t.Helper()
	d, err := kit.Open(split)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, d.Picture(i).Image()); err != nil {
		t.Fatal(err)
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes())
}

// The server must not answer otherwise than the command line.
func TestAnswersAreThoseOfAskAndCaption(t *testing.T) {
	s, url := sharedServer(t)
	lease, err := s.fleet.Acquire(t.Context(), testModel)
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release()
	const question = "what color is the background?"
	for _, i := range []int{3, 17} {
		name := fmt.Sprintf("kit:held-out/%d", i)
		picture, err := data.ReadPictures(lease.Vision.Spec().Image, name)
		if err != nil {
			t.Fatal(err)
		}
		request := chat.Request{}
		o := request.Options(s.config.Load().Limits.Chat, 0)
		captions, err := lease.Caption(t.Context(), picture, o)
		if err != nil {
			t.Fatal(err)
		}
		answers, err := lease.Answer(t.Context(), picture, []string{question}, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, url := range []struct{ server, picture string }{{url, name}, {url, dataURL(t, kit.HeldOut, i)}} {
			if got := completed(t, url.server, ask("", url.picture)).Choices[0].Message.Content; got != captions[0] {
				t.Errorf("caption of %s: %q, bridge caption says %q", name, got, captions[0])
			}
			if got := completed(t, url.server, ask(question, url.picture)).Choices[0].Message.Content; got != answers[0] {
				t.Errorf("answer about %s: %q, bridge ask says %q", name, got, answers[0])
			}
		}
	}
}

// events returns the data of server-sent events.
func events(t *testing.T, r reply) (chunks []chat.Chunk, raw []string) {
	t.Helper()
	if got := r.header.Get("Content-Type"); r.status != http.StatusOK || got != "text/event-stream" {
		t.Fatalf("status %d, type %s: %s", r.status, got, r.body)
	}
	lines := bufio.NewScanner(bytes.NewReader(r.body))
	for lines.Scan() {
		text, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		raw = append(raw, text)
		var c chat.Chunk
		if text != "[DONE]" && json.Unmarshal([]byte(text), &c) == nil {
			chunks = append(chunks, c)
		}
	}
	return chunks, raw
}

func TestAStreamSaysWhatAWholeAnswerSays(t *testing.T) {
	_, url := sharedServer(t)
	for _, more := range []map[string]any{
		{},
		{"n": 3, "temperature": 1.5, "seed": 7, "logprobs": true, "top_logprobs": 2},
		{"num_beams": 3},
		{"stop": []string{" on"}},
		{"max_tokens": 3},
	} {
		body := with(ask("", "kit:held-out/17"), more)
		whole := completed(t, url, body)
		r := post(t, url+"/v1/chat/completions", with(body, map[string]any{"stream": true, "stream_options": map[string]any{"include_usage": true}}))
		chunks, raw := events(t, r)
		if raw[len(raw)-1] != "[DONE]" {
			t.Errorf("%v: the stream ends with %s", more, raw[len(raw)-1])
		}
		texts, ends := make([]string, len(whole.Choices)), make([]string, len(whole.Choices))
		probs := make([][]chat.TokenLogProb, len(whole.Choices))
		for _, c := range chunks {
			if c.ID != chunks[0].ID || c.Model != testModel || !strings.Contains(raw[0], `"usage":null`) {
				t.Fatalf("chunk %+v after %s", c, raw[0])
			}
			for _, choice := range c.Choices {
				if choice.Delta.Content != nil {
					texts[choice.Index] += *choice.Delta.Content
				}
				if choice.FinishReason != nil {
					ends[choice.Index] = *choice.FinishReason
				}
				if choice.LogProbs != nil {
					probs[choice.Index] = append(probs[choice.Index], choice.LogProbs.Content...)
				}
			}
		}
		for i, want := range whole.Choices {
			if texts[i] != want.Message.Content || ends[i] != want.FinishReason {
				t.Errorf("%v: streamed %q (%s), whole %q (%s)", more, texts[i], ends[i], want.Message.Content, want.FinishReason)
			}
			if want.LogProbs != nil && fmt.Sprint(probs[i]) != fmt.Sprint(want.LogProbs.Content) {
				t.Errorf("%v: streamed log-probabilities %v, whole %v", more, probs[i], want.LogProbs.Content)
			}
		}
		if !strings.Contains(raw[len(raw)-2], fmt.Sprintf(`"usage":{"prompt_tokens":%d,"completion_tokens":%d`, whole.Usage.PromptTokens, whole.Usage.CompletionTokens)) {
			t.Errorf("%v: usage %s, whole %+v", more, raw[len(raw)-2], whole.Usage)
		}
	}
}

func TestOptionsReachTheModel(t *testing.T) {
	_, url := sharedServer(t)
	body := ask("", "kit:held-out/17")
	short := completed(t, url, with(body, map[string]any{"max_completion_tokens": 2}))
	if c := short.Choices[0]; c.FinishReason != "length" || short.Usage.CompletionTokens != 2 {
		t.Errorf("at most 2 tokens: %+v", short)
	}
	stopped := completed(t, url, with(body, map[string]any{"stop": " on a"})).Choices[0]
	if stopped.Message.Content != "two umbrellas" || stopped.FinishReason != "stop" {
		t.Errorf("stop text: %+v", stopped)
	}
	sampled := with(body, map[string]any{"temperature": 2, "top_k": 0, "n": 8, "seed": 5})
	first, again := completed(t, url, sampled), completed(t, url, sampled)
	different := map[string]bool{}
	for i, c := range first.Choices {
		different[c.Message.Content] = true
		if again.Choices[i].Message.Content != c.Message.Content {
			t.Errorf("answer %d of one seed: %q, then %q", i, c.Message.Content, again.Choices[i].Message.Content)
		}
	}
	if len(different) < 2 {
		t.Errorf("8 answers at temperature 2 are equal: %v", different)
	}
	unseeded := with(body, map[string]any{"temperature": 2, "top_k": 0, "n": 8})
	if a, b := completed(t, url, unseeded), completed(t, url, unseeded); fmt.Sprint(a.Choices) == fmt.Sprint(b.Choices) {
		t.Errorf("two requests without a seed give the same 8 samples: %+v", a.Choices)
	}
}

// Every client must get its own answer, and the one that it gets alone.
func TestClientsInABatchGetTheirOwnAnswers(t *testing.T) {
	s, url := sharedServer(t)
	questions := []string{"", "what color is the background?", "how many are there?"}
	bodies := make([]map[string]any, 24)
	want := make([]string, len(bodies))
	for i := range bodies {
		bodies[i] = with(ask(questions[i%3], fmt.Sprintf("kit:held-out/%d", i)), map[string]any{"max_tokens": 5 + i%7})
		if i%4 == 3 {
			bodies[i]["temperature"], bodies[i]["seed"] = 1.0, i
		}
		want[i] = completed(t, url, bodies[i]).Choices[0].Message.Content
	}
	before := s.metrics.batchCount(t)
	got := make([]string, len(bodies))
	var wg sync.WaitGroup
	for i := range bodies {
		wg.Go(func() { got[i] = completed(t, url, bodies[i]).Choices[0].Message.Content })
	}
	wg.Wait()
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("request %d: %q in a batch, %q alone", i, got[i], want[i])
		}
	}
	if n := s.metrics.batchCount(t) - before; n >= len(bodies) {
		t.Errorf("%d requests at once took %d batches, want fewer", len(bodies), n)
	}
}

// A client that closes its connection must cost no more computation.
func TestAClientThatLeavesEndsItsBatch(t *testing.T) {
	s, url := sharedServer(t)
	ctx, leave := context.WithCancel(t.Context())
	body, err := json.Marshal(with(ask("", "kit:held-out/17"), map[string]any{"min_tokens": 100, "max_tokens": 100, "stream": true}))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	leave()
	resp.Body.Close()
	for waiting, running := s.engine.Load(); waiting+running > 0; waiting, running = s.engine.Load() {
		time.Sleep(time.Millisecond)
	}
	w := httptest.NewRecorder()
	s.metrics.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if !strings.Contains(w.Body.String(), `result="canceled"} 1`) {
		t.Errorf("no batch was canceled: %s", w.Body)
	}
}

func TestNamesOfModels(t *testing.T) {
	for text, want := range map[string]config.Bridge{
		"runs/demo/warm": {Name: "warm", Model: "runs/demo/warm"}, "/srv/runs/x/": {Name: "x", Model: "/srv/runs/x/"}, "kit:stage2": {Name: "kit:stage2", Model: "kit:stage2"},
		"runs/x/bridge": {Name: "x", Model: "runs/x/bridge"}, "mine=runs/x": {Name: "mine", Model: "runs/x"}, "a/b=c": {Name: "b=c", Model: "a/b=c"},
	} {
		if got, err := bridgeOf(text); err != nil || got.Name != want.Name || got.Model != want.Model {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", ".", "..", "/", "=x", "x="} {
		if got, err := bridgeOf(text); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

func TestConversations(t *testing.T) {
	_, url := sharedServer(t)
	picture := map[string]any{"type": "image_url", "image_url": map[string]any{"url": "kit:held-out/17"}}
	text := func(s string) map[string]any { return map[string]any{"type": "text", "text": s} }
	body := map[string]any{"model": testModel, "messages": []any{
		map[string]any{"role": "system", "content": "be brief."},
		map[string]any{"role": "user", "content": []any{text("what is this?"), picture}},
		map[string]any{"role": "assistant", "content": "two umbrellas"},
		map[string]any{"role": "user", "content": "what color is the background?"},
	}}
	c := completed(t, url, body)
	if c.Choices[0].Message.Content == "" || c.Usage.PromptTokens < 25 {
		t.Errorf("a conversation of two turns: %+v", c)
	}
	compare := ask("which one is red?", "kit:held-out/1", "kit:held-out/2", "kit:held-out/3")
	if c := completed(t, url, compare); c.Usage.PromptTokens < 3*10 {
		t.Errorf("three pictures take %d tokens, want 10 soft prompts each", c.Usage.PromptTokens)
	}
	if c := completed(t, url, ask("hello")); c.Choices[0].FinishReason == "" {
		t.Errorf("a text alone: %+v", c)
	}
}

func TestGroundingTellsAnAnswerFromThePicture(t *testing.T) {
	_, url := sharedServer(t)
	grounding := func(answer string) (g chat.Grounding) {
		body := with(ask("", "kit:held-out/17"), map[string]any{"answer": answer})
		r := post(t, url+"/v1/grounding", body)
		if r.status != http.StatusOK || json.Unmarshal(r.body, &g) != nil {
			t.Fatalf("status %d: %s", r.status, r.body)
		}
		return g
	}
	right, wrong := grounding("two umbrellas on a yellow background"), grounding("a whale on a blue background")
	if right.Gauge < 0.5 || wrong.Gauge > 0.1 || right.Tokens != 7 {
		t.Errorf("gauge of the right answer %+v, of a wrong one %+v", right, wrong)
	}
	same := post(t, url+"/v1/grounding", with(ask("", "kit:held-out/17"), map[string]any{"answer": "two umbrellas on a yellow background", "other": map[string]any{"url": "kit:held-out/17"}}))
	if err := json.Unmarshal(same.body, &wrong); err != nil || wrong.Gauge != 0 || wrong.Other != wrong.Picture {
		t.Errorf("with the same picture as the other one: %s", same.body)
	}
}

func TestModels(t *testing.T) {
	_, url := sharedServer(t)
	r := send(t, http.MethodGet, url+"/v1/models", nil, nil)
	var list modelList
	if err := json.Unmarshal(r.body, &list); err != nil || len(list.Data) != 1 {
		t.Fatalf("%v: %s", err, r.body)
	}
	if m := list.Data[0]; m.ID != testModel || m.Encoder != "tiny-vit" || m.LLM != "tiny-opt" || !m.Loaded || m.Queries != 10 {
		t.Errorf("model %+v", m)
	}
	if r := send(t, http.MethodGet, url+"/v1/models/"+testModel, nil, nil); r.status != http.StatusOK {
		t.Errorf("one model: %d %s", r.status, r.body)
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/openapi.json", "/"} {
		if r := send(t, http.MethodGet, url+path, nil, nil); r.status != http.StatusOK {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
}

// batchCount returns the number of batches so far.
func (m *metrics) batchCount(t *testing.T) int {
	t.Helper()
	w := httptest.NewRecorder()
	m.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	n := 0
	for line := range strings.Lines(w.Body.String()) {
		if rest, ok := strings.CutPrefix(line, "bridge_batches_total{"); ok {
			_, value, _ := strings.Cut(rest, "} ")
			var f int
			if _, err := fmt.Sscan(value, &f); err != nil {
				t.Fatal(err)
			}
			n += f
		}
	}
	return n
}
