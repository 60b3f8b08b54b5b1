package talk_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/modular-bridging/bridge/internal/testenv/browser"
)

// A person uploads a picture, reads a caption as it comes, stops an answer, asks on, compares two
// bridges, and finds the conversation again. The answers are those that a program gets from the API.
func TestTalkInABrowser(t *testing.T) {
	c := &conversation{t: t, axe: browser.Axe(t), site: openSite(t, newServer(t)), file: kitFile(t, 17)}
	browser.Visit(t, c.site.url(),
		chromedp.EmulateViewport(1280, 900),
		until(`document.querySelectorAll("#kit-list img").length === 10 && document.querySelector("#bridge-list input:checked")`),
		looks(t, c.axe, "start"),
		c.upload(), c.stream(), c.stop(), c.compare(), c.askOn(), c.askAgain(), c.checkHarmless(), c.findAgain(), c.checkHarmless(), c.clearHistory(),
	)
}

// conversation holds the state that the steps of [TestTalkInABrowser] share. Each step acts on the page and checks
// what the page shows afterwards.
type conversation struct {
	t    *testing.T
	axe  string
	site *site
	file string // of the picture

	compared, wentOn []card // answers of two bridges
}

const (
	colorQuestion  = "what color is the background?"
	cactusQuestion = "is there a cactus?"
	codeQuestion   = `<img src=x onerror="window.attacked = 1">` // the page must not run it
)

func (c *conversation) upload() chromedp.Action {
	var alt, focus string
	return chromedp.Tasks{
		chromedp.SetUploadFiles("#file", []string{c.file}), until(`document.querySelector("#picture").naturalWidth === 64`),
		chromedp.AttributeValue("#picture", "alt", &alt, nil), chromedp.Evaluate(`document.activeElement.id`, &focus),
		do(func() {
			if alt != "your picture, my picture.png" || focus != "question" {
				c.t.Errorf("after the upload the picture is %q and the focus on %q", alt, focus)
			}
		}),
	}
}

// stream asks for a caption. The first piece is on the page while the server still holds the others
// back.
func (c *conversation) stream() chromedp.Action {
	caption := answerOf(c.t, c.site.handler, bridges[0], c.file, "")
	var release func()
	var begun, whole []card
	return chromedp.Tasks{
		do(func() { release = c.site.hold(2) }), enter(),
		until(`document.querySelector(".answer[data-state=coming] .text")?.textContent.length > 0`), cards(&begun), browser.Screenshot("coming"),
		do(func() { release() }), settled(), cards(&whole),
		do(func() {
			if len(begun) != 1 || !begun[0].Busy || !strings.HasPrefix(caption, begun[0].Text) || begun[0].Text == caption {
				c.t.Errorf("while the answer is held back: %+v, want the beginning of %q", begun, caption)
			}
			if len(whole) != 1 || whole[0].Text != caption || whole[0].State != "done" || len(whole[0].Meters) != 4 {
				c.t.Errorf("caption: %+v, want %q with its grounding", whole, caption)
			} else if m := whole[0].Meters; whole[0].Gauge != fmt.Sprintf("%.2f", m[0]) || m[0] < 0.5 || m[1] <= m[2] || m[1] <= m[3] {
				c.t.Errorf("grounding %v, gauge %s: the caption of a picture with two umbrellas is not likeliest with its picture", m, whole[0].Gauge)
			}
		}),
	}
}

// stop stops an answer, and the server notices that its client left.
func (c *conversation) stop() chromedp.Action {
	var release func()
	var stopped []card
	var heading string
	return chromedp.Tasks{
		do(func() { release = c.site.hold(2) }), askAbout(codeQuestion), until(`document.querySelector("#turns > li:last-child .answer").dataset.state === "coming"`),
		chromedp.KeyEvent(kb.Escape), settled(), cards(&stopped), chromedp.Text("#turns > li:last-child h3", &heading),
		do(func() {
			left := c.site.awaitLeft()
			release()
			if len(stopped) != 1 || stopped[0].State != "stopped" || !strings.HasPrefix(stopped[0].Meta, "stopped") || heading != codeQuestion {
				c.t.Errorf("stopped: %+v under %q", stopped, heading)
			}
			if left != 1 {
				c.t.Errorf("%d answers lost their client, want the one that was stopped", left)
			}
		}),
	}
}

// compare asks two bridges.
func (c *conversation) compare() chromedp.Action {
	want := answerOf(c.t, c.site.handler, bridges[1], c.file, colorQuestion)
	var announced string
	return chromedp.Tasks{
		chromedp.Click(`#bridge-list input[value="` + bridges[1] + `"]`),
		do(func() { c.site.asked() }), askAbout(colorQuestion), settled(), cards(&c.compared), looks(c.t, c.axe, "compare"),
		chromedp.Evaluate(`document.querySelector("#status").textContent`, &announced),
		do(func() {
			if two := c.compared; len(two) != 2 || two[1].Model != bridges[1] || two[1].Text != want || two[1].State != "done" {
				c.t.Errorf("answers to %q: %+v, want %q of %s", colorQuestion, two, want, bridges[1])
			}
			for _, a := range c.compared {
				if !strings.Contains(announced, a.Model+": "+a.Text) {
					c.t.Errorf("screen readers hear %q, want the answer of %s in it", announced, a.Model)
				}
			}
		}),
	}
}

// askOn asks both bridges a second question, which they read with the first one.
func (c *conversation) askOn() chromedp.Action {
	return chromedp.Tasks{
		askAbout(cactusQuestion), settled(), cards(&c.wentOn),
		do(func() {
			if len(c.wentOn) != 2 {
				c.t.Errorf("asked on: %+v, want two answers", c.wentOn)
			}
			checkAskedOn(c.t, c.site.asked(), bridges[0], bridges[1], c.compared)
		}),
	}
}

// askAgain repeats the last question to one of the bridges.
func (c *conversation) askAgain() chromedp.Action {
	var again []card
	return chromedp.Tasks{
		chromedp.Click(`#turns > li:last-child .answer button`), settled(), cards(&again),
		do(func() {
			if !slices.EqualFunc(again, c.wentOn, func(a, b card) bool { return a.Text == b.Text }) {
				c.t.Errorf("asked again: %+v, want %+v", again, c.wentOn)
			}
		}),
	}
}

// findAgain opens the page anew and takes the conversation from the history.
func (c *conversation) findAgain() chromedp.Action {
	var kept []card
	return chromedp.Tasks{
		chromedp.Reload(), until(`document.querySelector("#bridge-list input:checked")`),
		chromedp.Click("#open-history"), until(`document.querySelectorAll("#history-list .entry").length === 1`), browser.Accessible(c.t, c.axe, "history"), browser.Screenshot("history"),
		chromedp.Click("#history-list .entry"), until(`document.querySelectorAll("#turns > li").length === 4 && document.querySelector("#picture").naturalWidth === 64`), cards(&kept),
		do(func() {
			if !slices.EqualFunc(kept, c.wentOn, func(a, b card) bool { return a.Text == b.Text && a.Gauge == b.Gauge }) {
				c.t.Errorf("from the history: %+v, want %+v", kept, c.wentOn)
			}
		}),
	}
}

// clearHistory clears the history, which the page wants confirmed and remembers.
func (c *conversation) clearHistory() chromedp.Action {
	var before, after int
	var shown []card
	entries := func(into *int) chromedp.Action {
		return chromedp.Evaluate(`document.querySelectorAll("#history-list .entry").length`, into)
	}
	return chromedp.Tasks{
		chromedp.Click("#open-history"), chromedp.Click("#clear-history"), until(`document.querySelector("#clear-history").textContent.includes("again")`), entries(&before),
		chromedp.Click("#clear-history"), until(`document.querySelectorAll("#history-list .entry").length === 0`), chromedp.KeyEvent(kb.Escape), cards(&shown),
		chromedp.Reload(), until(`document.querySelector("#bridge-list input:checked")`), chromedp.Click("#open-history"), until(`document.querySelector("#history").open`), entries(&after),
		do(func() {
			if before != 1 || len(shown) != 0 || after != 0 {
				c.t.Errorf("%d in the history before it is cleared; after that %+v on the page, %d in the history", before, shown, after)
			}
		}),
	}
}

// checkHarmless checks that no question has run as code since the page was loaded.
func (c *conversation) checkHarmless() chromedp.Action {
	var attacked bool
	return chromedp.Tasks{
		chromedp.Evaluate(`window.attacked !== undefined`, &attacked),
		do(func() {
			if attacked {
				c.t.Errorf("the question %s ran as code", codeQuestion)
			}
		}),
	}
}

// checkAskedOn checks the requests of two questions to two bridges: each bridge reads the picture once,
// the earlier questions, and its own answers.
func checkAskedOn(t *testing.T, requests []request, first, second string, two []card) {
	t.Helper()
	if len(requests) != 4 || len(two) != 2 {
		t.Errorf("%d requests and %d answers, want 4 and 2", len(requests), len(two))
		return
	}
	for _, r := range requests[2:] {
		i := slices.Index([]string{first, second}, r.Model)
		texts := r.texts()
		want := []string{"user: <picture> what color is the background?", "assistant: " + two[max(i, 0)].Text, "user: is there a cactus?"}
		if i == 0 { // it has a part of an answer to the question that was stopped
			texts = texts[2:]
			want[0] = "user: what color is the background?"
		}
		if i < 0 || !slices.Equal(texts, want) || r.MaxTokens != 20 || r.Seed != nil {
			t.Errorf("%s was asked %q (of %q), want %q", r.Model, texts, r.texts(), want)
		}
	}
}
