package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// answer holds the server's answer to a request.
type answer struct {
	status     int
	retryAfter bool
	message    string // of an error
	texts      []string
	ends       []string // why each answer ended
	usage      tokenCounts
	logProbs   []float64
	done       bool // the stream ended as it should
}

// tokenCounts is the usage of a request.
type tokenCounts struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
}

// closeLogProbs is how far the log-probability of a token may differ between batches.
const closeLogProbs = 2e-3

// equal reports whether two answers say the same.
func (a answer) equal(b answer) bool {
	if a.status != b.status || !slices.Equal(a.texts, b.texts) || !slices.Equal(a.ends, b.ends) || a.usage != b.usage || len(a.logProbs) != len(b.logProbs) {
		return false
	}
	for i := range a.logProbs {
		if math.Abs(a.logProbs[i]-b.logProbs[i]) > closeLogProbs {
			return false
		}
	}
	return true
}

func (a answer) String() string {
	if a.status != http.StatusOK {
		return fmt.Sprintf("status %d: %s", a.status, a.message)
	}
	return fmt.Sprintf("%q %v %+v", a.texts, a.ends, a.usage)
}

// chunk is a completion or a part of a stream.
type chunk struct {
	Choices []struct {
		Index        int
		Message      struct{ Content string }
		Delta        struct{ Content string }
		FinishReason *string `json:"finish_reason"`
		LogProbs     *struct {
			Content []struct{ LogProb float64 }
		}
	}
	Usage *tokenCounts
	Error *struct{ Message, Kind string }
}

// post posts a chat request.
func post(ctx context.Context, client *http.Client, url, key string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+key)
	return client.Do(req)
}

// sendRaw posts a chat request and calls read with the body of the answer.
func sendRaw(ctx context.Context, client *http.Client, url, key string, body []byte, read func([]byte) error) (status int, err error) {
	resp, err := post(ctx, client, url, key, body)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, read(text)
}

// send posts a chat request. It calls piece, if not nil, with each piece of a stream.
func send(ctx context.Context, client *http.Client, url, key string, body []byte, piece func(index int, text string)) (answer, error) {
	resp, err := post(ctx, client, url, key, body)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		a.retryAfter = true
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return a, a.readEvents(resp.Body, piece)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return a, err
	}
	a.done = true
	return a, a.add(text, nil)
}

// readEvents reads a stream to its end.
func (a *answer) readEvents(r io.Reader, piece func(int, string)) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if text, ok := strings.CutPrefix(line, "data: "); ok {
			if strings.TrimSpace(text) == "[DONE]" {
				a.done = true
			} else if err := a.add([]byte(text), piece); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if !a.done && a.status == http.StatusOK {
				return errors.New("the stream ends without [DONE]")
			}
			return nil
		case err != nil:
			return err
		}
	}
}

// add reads a completion, a chunk or an error.
func (a *answer) add(text []byte, piece func(int, string)) error {
	var c chunk
	if err := json.Unmarshal(text, &c); err != nil {
		return fmt.Errorf("the answer is no JSON: %w: %.200q", err, text)
	}
	if c.Error != nil {
		a.message = c.Error.Message
		if a.status == http.StatusOK { // an event in the middle of a stream
			a.status, a.retryAfter = http.StatusServiceUnavailable, true
			if c.Error.Kind != "unavailable" && c.Error.Kind != "exhausted" {
				a.status = http.StatusInternalServerError
			}
		}
	}
	if c.Usage != nil {
		a.usage = *c.Usage
	}
	for _, choice := range c.Choices {
		for len(a.texts) <= choice.Index {
			a.texts, a.ends = append(a.texts, ""), append(a.ends, "")
		}
		said := choice.Message.Content + choice.Delta.Content
		a.texts[choice.Index] += said
		if choice.FinishReason != nil {
			a.ends[choice.Index] = *choice.FinishReason
		}
		if choice.LogProbs != nil {
			for _, p := range choice.LogProbs.Content {
				a.logProbs = append(a.logProbs, p.LogProb)
			}
		}
		if piece != nil && said != "" {
			piece(choice.Index, said)
		}
	}
	return nil
}
