package talk_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image/png"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/modular-bridging/bridge/internal/testenv/browser"
	"github.com/modular-bridging/bridge/kit"
)

// site is a server that can go away and come back at the same address. It records the requests for
// answers, and can hold back what the server streams.
type site struct {
	handler http.Handler
	address string // host:port
	server  *http.Server

	mu       sync.Mutex
	requests []request
	left     int           // requests whose client went away while they were held
	held     chan struct{} // closed when answers may go on; nil: they are not held
	pieces   int           // that may pass before answers are held
	busy     int           // requests that are answered with 429 before the next one passes
}

// request has the parts of a request for an answer that tests check.
type request struct {
	Model    string
	Messages []struct {
		Role    string
		Content json.RawMessage
	}
	Seed      *int64
	MaxTokens int `json:"max_tokens"`
}

// texts returns the messages as roles with their texts; a picture is "<picture>".
func (r request) texts() []string {
	var texts []string
	for _, m := range r.Messages {
		var text string
		if json.Unmarshal(m.Content, &text) == nil {
			texts = append(texts, m.Role+": "+text)
			continue
		}
		var parts []struct{ Type, Text string }
		if err := json.Unmarshal(m.Content, &parts); err != nil {
			return []string{err.Error()}
		}
		line := m.Role + ":"
		for _, p := range parts {
			if p.Type == "image_url" {
				p.Text = "<picture>"
			}
			line += " " + p.Text
		}
		texts = append(texts, line)
	}
	return texts
}

// openSite serves a handler at a free port until the end of the test.
func openSite(t *testing.T, handler http.Handler) *site {
	t.Helper()
	s := &site{handler: handler, address: "127.0.0.1:0"}
	s.start(t)
	t.Cleanup(s.stop)
	return s
}

func (s *site) start(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	s.address = listener.Addr().String()
	s.server = &http.Server{Handler: http.HandlerFunc(s.serve)}
	go s.server.Serve(listener) //nolint:errcheck // it ends with stop
}

// stop breaks all connections off, as a server that is killed does.
func (s *site) stop() { s.server.Close() }

func (s *site) url() string { return "http://" + s.address + "/" }

func (s *site) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/v1/chat/completions" {
		s.handler.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var read request
	if err := json.Unmarshal(body, &read); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.requests = append(s.requests, read)
	busy := s.busy > 0
	if busy {
		s.busy--
	}
	gated := &gatedWriter{ResponseWriter: w, site: s, ctx: r.Context(), held: s.held, left: s.pieces}
	s.mu.Unlock()
	if busy { // as serve answers when its queue is full
		w.Header().Set("Retry-After", "1")
		http.Error(w, `{"error":{"message":"the queue is full","type":"rate_limit_error","remedy":"try again later"}}`, http.StatusTooManyRequests)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.handler.ServeHTTP(gated, r)
}

// hold lets each answer stream n more pieces and then holds it. The function that it returns lets
// all answers go on.
func (s *site) hold(n int) (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := make(chan struct{})
	s.held, s.pieces = held, n
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.held = nil
		close(held)
	})
}

// awaitLeft waits until the server has noticed that a client went away, or ten seconds. It returns
// how many did.
func (s *site) awaitLeft() (left int) {
	for deadline := time.Now().Add(10 * time.Second); left == 0 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		s.mu.Lock()
		left = s.left
		s.mu.Unlock()
	}
	return left
}

// refuse answers the next n requests as a server does whose queue is full.
func (s *site) refuse(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = n
}

// asked returns the requests so far and forgets them.
func (s *site) asked() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.requests
	s.requests = nil
	return all
}

// gatedWriter holds a stream back before it flushes a piece.
type gatedWriter struct {
	http.ResponseWriter
	site *site
	ctx  context.Context
	held chan struct{}
	left int
}

// Unwrap is for [http.ResponseController].
func (w *gatedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush implements [http.Flusher].
func (w *gatedWriter) Flush() {
	if w.held != nil && w.left == 0 {
		select {
		case <-w.held:
		case <-w.ctx.Done():
			w.site.mu.Lock()
			w.site.left++
			w.site.mu.Unlock()
			w.held = nil
		}
	} else {
		w.left--
	}
	w.ResponseWriter.(http.Flusher).Flush()
}

// The actions of a person on the page.

func enter() chromedp.Action {
	return input.DispatchKeyEvent(input.KeyDown).WithKey("Enter").WithCode("Enter").WithText("\r").WithWindowsVirtualKeyCode(13)
}

func askAbout(question string) chromedp.Action {
	return chromedp.Tasks{chromedp.Focus("#question"), chromedp.KeyEvent(question), enter()}
}

// until waits until a condition of the page holds.
func until(condition string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		if err := chromedp.Poll(condition, nil, chromedp.WithPollingTimeout(30*time.Second)).Do(ctx); err != nil {
			return fmt.Errorf("waiting for %s: %w", condition, err)
		}
		return nil
	})
}

// do runs Go code between actions.
func do(f func()) chromedp.Action {
	return chromedp.ActionFunc(func(context.Context) error { f(); return nil })
}

func awaitPromise(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }

// card is an answer as the page shows it.
type card struct {
	Model, State, Text, Problem, Meta, Gauge string
	Meters                                   []float64
	Busy                                     bool
}

// cards reads the answers of the last question.
func cards(into *[]card) chromedp.Action {
	return chromedp.Evaluate(`[...document.querySelectorAll("#turns > li:last-child .answer")].map(a => ({
		Model: a.querySelector("h4").textContent, State: a.dataset.state, Busy: a.ariaBusy === "true", Text: a.querySelector(".text").textContent,
		Problem: a.querySelector(".wrong").textContent, Meta: a.querySelector(".meta").textContent, Gauge: a.querySelector(".gauge b")?.textContent ?? "",
		Meters: [...a.querySelectorAll("[role=meter]")].map(m => Number(m.getAttribute("aria-valuenow"))) }))`, into)
}

// settled waits until all answers of the last question have ended and, if they were measured, have
// their grounding.
func settled() chromedp.Action { return until(`document.querySelector("#stop").hidden`) }

// tabTo presses Tab until an element has the focus.
func tabTo(selector string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		for range 60 {
			var there bool
			if err := chromedp.Evaluate(fmt.Sprintf(`document.activeElement.matches(%q)`, selector), &there).Do(ctx); err != nil || there {
				return err
			}
			if err := chromedp.KeyEvent(kb.Tab).Do(ctx); err != nil {
				return err
			}
		}
		return fmt.Errorf("60 times Tab does not reach %s", selector)
	})
}

// looks are the ways in which the page is looked at: wide, on a phone, and dark.
func looks(t *testing.T, axe, name string) chromedp.Action {
	scheme := func(value string) chromedp.Action {
		return emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}})
	}
	var wide, narrow, dark struct {
		Width int
		Page  string
	}
	const layout = `({Width: document.scrollingElement.scrollWidth, Page: getComputedStyle(document.body).backgroundColor})`
	return chromedp.Tasks{
		browser.Accessible(t, axe, name), browser.Screenshot(name), chromedp.Evaluate(layout, &wide),
		scheme("dark"), browser.Accessible(t, axe, name+", dark"), browser.Screenshot(name + "-dark"), chromedp.Evaluate(layout, &dark),
		scheme("light"), chromedp.EmulateViewport(390, 844, chromedp.EmulateScale(1)),
		browser.Accessible(t, axe, name+", phone"), browser.Screenshot(name + "-phone"), chromedp.Evaluate(layout, &narrow),
		chromedp.EmulateViewport(1280, 900),
		do(func() {
			if wide.Width > 1280 || narrow.Width > 390 {
				t.Errorf("%s: the page is %d pixels wide in a window of 1280, and %d on a phone of 390", name, wide.Width, narrow.Width)
			}
			if wide.Page == dark.Page {
				t.Errorf("%s: in dark mode the page is %s, as in light mode", name, dark.Page)
			}
		}),
	}
}

// kitFile writes a picture of the kit into a file.
func kitFile(t *testing.T, i int) string {
	t.Helper()
	data, err := kit.Open(kit.HeldOut)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "my picture.png")
	var file bytes.Buffer
	if err := png.Encode(&file, data.Picture(i).Image()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, file.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}
