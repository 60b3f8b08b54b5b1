package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"maps"
	"net/http"
	"strings"

	"github.com/modular-bridging/bridge/kit"
)

// testCase is a request, and the answer that it has alone.
type testCase struct {
	kind   string
	name   string
	key    string
	body   []byte
	stream bool
	want   answer
}

// fields are members of a JSON object.
type fields map[string]any

// and returns f with more members.
func (f fields) and(more fields) fields {
	out := maps.Clone(f)
	maps.Copy(out, more)
	return out
}

// ask returns the members of a request about a picture. An empty question asks for a caption.
func ask(model, picture, question string) fields {
	parts := []fields{{"type": "image_url", "image_url": fields{"url": picture}}}
	if question != "" {
		parts = append(parts, fields{"type": "text", "text": question})
	}
	return fields{"model": model, "messages": []fields{{"role": "user", "content": parts}}}
}

// picture returns the URL of a picture of the kit: its name, or every third time the picture itself.
func picture(i int) (string, error) {
	if i%3 != 0 {
		return fmt.Sprintf("kit:held-out/%d", i), nil
	}
	d, err := kit.Open(kit.HeldOut)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	to := base64.NewEncoder(base64.StdEncoding, &b)
	if err := errors.Join(png.Encode(to, d.Picture(i).Image()), to.Close()); err != nil {
		return "", err
	}
	return "data:image/png;base64," + b.String(), nil
}

// newCases returns the requests of the load for these models, without their answers.
func newCases(models, keys []string) ([]*testCase, error) {
	var all []*testCase
	for m, model := range models {
		for i := range 8 {
			n := 11*i + 5*m
			url, err := picture(n)
			if err != nil {
				return nil, err
			}
			question := []string{"what color is the background?", "how many are there?", "what is this?"}[i%3]
			asked := ask(model, url, question)
			tokens := fields{"max_tokens": 6 + 3*(i%5)}
			for kind, body := range map[string]fields{
				"caption":       ask(model, url, "").and(tokens),
				"question":      asked.and(tokens),
				"stream":        ask(model, url, "").and(tokens).and(fields{"stream": true, "stream_options": fields{"include_usage": true}}),
				"sampled":       asked.and(tokens).and(fields{"temperature": 1.3, "seed": n, "n": 3}),
				"stop":          ask(model, url, "").and(fields{"stop": []string{" on", " and"}}),
				"beams":         asked.and(fields{"num_beams": 3}),
				"logprobs":      ask(model, url, "").and(tokens).and(fields{"logprobs": true, "top_logprobs": 2}),
				"left":          ask(model, url, "").and(fields{"stream": true, "min_tokens": 40, "max_tokens": 40}),
				"conversation":  converse(model, url, question),
				"over-limit":    asked.and(fields{"max_tokens": 1000000}),
				"unknown-model": ask("nothing", url, ""),
				"wrong-key":     asked,
			} {
				text, err := json.Marshal(body)
				if err != nil {
					return nil, err
				}
				c := &testCase{kind: kind, name: fmt.Sprintf("%s of picture %d with %s", kind, n, model), key: keys[(i+m)%len(keys)], body: text, stream: body["stream"] != nil}
				if kind == "wrong-key" {
					c.key = "a-key-that-nobody-has"
				}
				all = append(all, c)
			}
		}
	}
	return all, nil
}

// converse returns a request with an earlier turn.
func converse(model, url, question string) fields {
	first := ask(model, url, "what is this?")["messages"].([]fields)
	return fields{"model": model, "messages": append(first, fields{"role": "assistant", "content": "two cats"}, fields{"role": "user", "content": question}), "max_tokens": 8}
}

// statuses are what the kinds end with, if not with 200.
var statuses = map[string]int{"over-limit": http.StatusBadRequest, "unknown-model": http.StatusNotFound, "wrong-key": http.StatusUnauthorized}

// computeAnswers asks for each answer alone, twice. Cases whose best two tokens are nearly as likely as each other are
// left out, because the contract lets a batch decide them otherwise; ties counts them.
func computeAnswers(ctx context.Context, client *http.Client, url string, all []*testCase) (kept []*testCase, ties int, err error) {
	for _, c := range all {
		if c.want, err = send(ctx, client, url, c.key, c.body, nil); err != nil {
			return nil, 0, fmt.Errorf("%s: %w", c.name, err)
		}
		want := statuses[c.kind]
		if want == 0 {
			want = http.StatusOK
		}
		if c.want.status != want {
			return nil, 0, fmt.Errorf("%s, alone: want status %d, got %v", c.name, want, c.want)
		}
		again, err := send(ctx, client, url, c.key, c.body, nil)
		if err != nil || !again.equal(c.want) {
			return nil, 0, fmt.Errorf("%s: alone %v, alone again %v, %w", c.name, c.want, again, err)
		}
		tie, err := nearTie(ctx, client, url, c)
		if err != nil {
			return nil, 0, err
		}
		if tie {
			ties++
		} else {
			kept = append(kept, c)
		}
	}
	return kept, ties, nil
}

// nearTie reports whether a greedy answer has a token that is nearly as likely as the next one.
func nearTie(ctx context.Context, client *http.Client, url string, c *testCase) (bool, error) {
	var body map[string]any
	if err := json.Unmarshal(c.body, &body); err != nil {
		return false, err
	}
	if c.want.status != http.StatusOK || body["num_beams"] != nil || body["temperature"] != nil {
		return false, nil
	}
	delete(body, "stream")
	delete(body, "stream_options")
	body["logprobs"], body["top_logprobs"] = true, 2
	text, err := json.Marshal(body)
	if err != nil {
		return false, err
	}
	margin := 1.0
	_, err = sendRaw(ctx, client, url, c.key, text, func(raw []byte) error {
		var reply struct {
			Choices []struct {
				LogProbs struct {
					Content []struct {
						Top []struct{ LogProb float64 } `json:"top_logprobs"`
					}
				}
			}
		}
		if err := json.Unmarshal(raw, &reply); err != nil {
			return err
		}
		for _, choice := range reply.Choices {
			for _, token := range choice.LogProbs.Content {
				if len(token.Top) == 2 {
					margin = min(margin, token.Top[0].LogProb-token.Top[1].LogProb)
				}
			}
		}
		return nil
	})
	return margin < 1e-3, err
}
