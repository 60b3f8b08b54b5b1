package talk_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/modular-bridging/bridge/internal/testenv/browser"
)

// The server is busy; it goes away in the middle of an answer, and comes back.
func TestServerGoneAndBack(t *testing.T) {
	axe := browser.Axe(t)
	s := openSite(t, newServer(t))
	var release func()
	var patient, broken, refused, back []card
	var banner string
	browser.Visit(t, s.url(),
		chromedp.EmulateViewport(1280, 900),
		until(`document.querySelector("#kit-list img") && document.querySelector("#bridge-list input:checked")`),
		// With the keyboard alone.
		tabTo("#kit-list button"), enter(), until(`document.querySelector("#picture").naturalWidth === 64 && document.activeElement.id === "question"`),

		// A server that is busy is asked again by itself.
		do(func() { s.refuse(2) }), askAbout("is there a cactus?"), until(`document.querySelector(".answer .meta").textContent.includes("asks again")`), settled(), cards(&patient),

		// Ask turns into Stop under the focus, and the focus goes to the question in the end.
		do(func() { release = s.hold(0) }), tabTo("#send"), enter(), until(`document.activeElement.id === "stop"`),
		do(func() { release() }), settled(), until(`document.activeElement.id === "question"`),

		do(func() { release = s.hold(2) }), askAbout("how many umbrellas are there?"), until(`document.querySelector("#turns > li:last-child .answer").dataset.state === "coming"`),
		do(func() { s.stop(); release() }), until(`!document.querySelector("#gone").hidden`), chromedp.Text("#gone", &banner), cards(&broken),
		askAbout("what color is the background?"), settled(), cards(&refused), browser.Accessible(t, axe, "gone"), browser.Screenshot("gone"),
		do(func() { s.start(t) }), until(`document.querySelector("#gone").hidden`),
		chromedp.Click(`#turns > li:last-child .answer button`), settled(), cards(&back),
	)
	if len(patient) != 1 || patient[0].State != "done" || patient[0].Text != "no" || patient[0].Problem != "" {
		t.Errorf("a server that was busy twice: %+v", patient)
	}
	if !strings.Contains(banner, "The server does not answer") {
		t.Errorf("the banner says %q", banner)
	}
	if len(broken) != 1 || broken[0].State != "failed" || !strings.Contains(broken[0].Problem, "broke off") {
		t.Errorf("the answer that broke off: %+v", broken)
	}
	if len(refused) != 1 || refused[0].State != "failed" || !strings.Contains(refused[0].Problem, "does not answer") {
		t.Errorf("a question without a server: %+v", refused)
	}
	if len(back) != 1 || back[0].State != "done" || back[0].Text == "" || back[0].Problem != "" {
		t.Errorf("asked again when the server is back: %+v", back)
	}
}

// A server with API keys: the page asks for one, says when it is wrong, and keeps it for the tab alone
// unless the person wants it kept.
func TestAPIKeyInABrowser(t *testing.T) {
	axe := browser.Axe(t)
	const key = "a-key-of-the-test-0123456789"
	s := openSite(t, newServerWithKey(t, key))
	give := func(key string) chromedp.Action {
		return chromedp.Tasks{until(`document.querySelector("#settings").open`), chromedp.SetValue("[name=key]", key), chromedp.Click("#settings-form [type=submit]")}
	}
	const problem = `document.querySelector("#key-problem").textContent`
	var asked, focus, note string
	var answered []card
	var stored, kept []string
	const keys = `Object.values(localStorage).filter(v => v.includes("a-key"))`
	browser.Visit(t, s.url(),
		chromedp.EmulateViewport(1280, 900),
		until(`document.querySelector("#settings").open`), chromedp.Evaluate(problem, &asked), chromedp.Evaluate(`document.activeElement.name`, &focus), browser.Accessible(t, axe, "key"), browser.Screenshot("key"),
		give("another-key-0123456789"), until(problem+`.includes("does not accept this API key")`),
		give(key), until(`!document.querySelector("#settings").open && document.querySelector("#bridge-list input:checked")`), chromedp.Text("#bridge-list", &note),
		chromedp.Click("#kit-list button"), until(`document.querySelector("#picture").naturalWidth === 64`), enterIn("#question"), settled(), cards(&answered),
		chromedp.Evaluate(keys, &stored),
		chromedp.Reload(), until(`document.querySelector("#bridge-list input:checked")`), // the tab still has the key
		chromedp.Click("#open-settings"), chromedp.Click("[name=keep]"), chromedp.Click("#settings-form [type=submit]"), chromedp.Evaluate(keys, &kept),
	)
	if !strings.Contains(asked, "asks for an API key") || focus != "key" {
		t.Errorf("the page asks: %q, with the focus on %q", asked, focus)
	}
	if len(answered) != 1 || answered[0].State != "done" || answered[0].Text == "" {
		t.Errorf("with the key: %+v", answered)
	}
	if len(stored) != 0 || len(kept) != 1 {
		t.Errorf("the browser keeps %d keys by itself and %d if it is told to, want 0 and 1", len(stored), len(kept))
	}
	if !strings.Contains(note, "not loaded") {
		t.Errorf("the list says %q of a bridge that is not loaded", note)
	}
}

// Pictures come by drop and paste; files that are no pictures are refused with a remedy; large ones
// are shrunk; text is pasted as text.
func TestPicturesInABrowser(t *testing.T) {
	axe := browser.Axe(t)
	s := openSite(t, newServer(t))
	const transfer = `const transfer = async (name, type, content) => { const t = new DataTransfer(); t.items.add(new File([content], name, {type})); return t; };
		const drawn = (w, h, type) => new Promise(r => { const c = document.createElement("canvas"); c.width = w; c.height = h; c.getContext("2d").fillRect(0, 0, w, h); c.toBlob(r, type); });`
	drop := func(content string) chromedp.Action {
		return chromedp.Evaluate(`(async () => {`+transfer+`document.dispatchEvent(new DragEvent("drop", {bubbles: true, cancelable: true, dataTransfer: await transfer(`+content+`)})) })()`, nil, awaitPromise)
	}
	paste := func(content string) chromedp.Action {
		return chromedp.Evaluate(`(async () => {`+transfer+`document.dispatchEvent(new ClipboardEvent("paste", {bubbles: true, cancelable: true, clipboardData: await transfer(`+content+`)})) })()`, nil, awaitPromise)
	}
	var none, noPicture, empty, pasted, shrunk, settings string
	var refused []card
	var touched struct {
		Focus            string
		Open             int
		Gauge            bool
		Top, Bottom, Ask float64
	}
	browser.Visit(t, s.url(),
		chromedp.EmulateViewport(1280, 900), until(`document.querySelector("#bridge-list input:checked")`),
		askAbout("what is this?"), chromedp.Text("#problem", &none),
		drop(`"notes.txt", "text/plain", "not a picture"`), until(`document.querySelector("#problem").textContent.includes("notes.txt")`), chromedp.Text("#problem", &noPicture),
		drop(`"empty.png", "image/png", ""`), until(`document.querySelector("#problem").textContent.includes("empty.png")`), chromedp.Text("#problem", &empty), browser.Accessible(t, axe, "refused"), browser.Screenshot("refused"),
		paste(`"image.png", "image/png", await drawn(80, 60, "image/png")`), until(`document.querySelector("#picture").naturalWidth === 80`), chromedp.Text("#picture-note", &pasted),
		drop(`"large.webp", "image/webp", await drawn(5000, 1000, "image/webp")`), until(`document.querySelector("#picture").naturalWidth === 2048`), chromedp.Text("#picture-note", &shrunk),
		chromedp.Evaluate(`document.querySelector("#problem").hidden`, nil),

		// Settings: contradictory ones are refused; those that the server refuses are named on the card.
		chromedp.Click("#open-settings"), looks(t, axe, "settings"),
		chromedp.SetValue(`[name=num_beams]`, "3"), chromedp.SetValue(`[name=temperature]`, "0.7"), chromedp.Click("#settings-form [type=submit]"), chromedp.Text("#settings-problem", &settings),
		chromedp.SetValue(`[name=temperature]`, "0"), chromedp.SetValue(`[name=max_tokens]`, "4096"), chromedp.Click("#settings-form [type=submit]"), until(`!document.querySelector("#settings").open`),
		enterIn("#question"), settled(), cards(&refused), browser.Accessible(t, axe, "failed"), browser.Screenshot("failed"),

		// On a phone the answer is in view above the question, and no tap opens the keyboard.
		chromedp.Evaluate(`localStorage.clear()`, nil), chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile, chromedp.EmulateTouch), chromedp.Reload(),
		until(`document.querySelectorAll("#kit-list img").length === 10 && document.querySelector("#bridge-list input:checked")`),
		chromedp.Click("#kit-list button"), until(`document.querySelector("#suggestions button")`), chromedp.Click("#suggestions button"), settled(), browser.Screenshot("touched"),
		chromedp.Evaluate(`(() => { const card = document.querySelector(".answer"), box = card.getBoundingClientRect(); return {
			Focus: document.activeElement.tagName, Open: document.querySelectorAll("details[open]").length, Gauge: card.querySelector(".gauge") !== null,
			Top: box.top, Bottom: box.bottom, Ask: document.querySelector("#ask").getBoundingClientRect().top } })()`, &touched),
	)
	for _, c := range []struct{ what, got, want string }{
		{"without a picture", none, "Choose a picture first"}, {"a text file", noPicture, "Choose a JPEG, PNG, GIF or WebP"}, {"an empty file", empty, "is empty"},
		{"a pasted picture", pasted, "image.png · 80 × 60"}, {"a large picture", shrunk, "sent as a JPEG of 2048 × 410"}, {"beams with a temperature", settings, "Beams need temperature 0"},
	} {
		if !strings.Contains(c.got, c.want) {
			t.Errorf("%s: the page says %q, want %q in it", c.what, c.got, c.want)
		}
	}
	if len(refused) != 1 || refused[0].State != "failed" || !strings.Contains(refused[0].Problem, "4096") {
		t.Errorf("with too many tokens: %+v", refused)
	}
	if touched.Focus == "TEXTAREA" || touched.Open != 0 || !touched.Gauge || touched.Top < 0 || touched.Bottom > touched.Ask {
		t.Errorf("after a tap on a phone: %+v, want a measured answer above the question, the lists closed, and no keyboard", touched)
	}
}

func enterIn(field string) chromedp.Action { return chromedp.Tasks{chromedp.Focus(field), enter()} }

// The parser of events gives the same events wherever a stream is cut, and the history is bounded.
func TestModulesInABrowser(t *testing.T) {
	s := openSite(t, newServer(t))
	var wrong, events []string
	var kept []int
	browser.Visit(t, s.url(), chromedp.Evaluate(`import("/talk/events.js").then(({ EventParser }) => {
		const stream = ": comment\r\ndata: one\r\n\r\nevent: x\ndata:two\ndata: lines\n\ndata: \u00fc\r\rdata\n\nid: 3\n\ndata: last\n\ndata: unfinished";
		const whole = new EventParser().push(stream), wrong = [];
		for (let i = 0; i <= stream.length; i++) for (let j = i; j <= stream.length; j++) {
			const p = new EventParser(), got = [...p.push(stream.slice(0, i)), ...p.push(stream.slice(i, j)), ...p.push(stream.slice(j))];
			if (JSON.stringify(got) !== JSON.stringify(whole)) wrong.push(i + " " + j + ": " + JSON.stringify(got));
		}
		window.whole = whole;
		return wrong;
	})`, &wrong, awaitPromise), chromedp.Evaluate(`window.whole`, &events),
		chromedp.Evaluate(`import("/talk/history.js").then(async ({ History }) => {
		const history = new History();
		if (!await history.open()) return [];
		for (let i = 0; i < 53; i++) await history.save({ id: "c" + i, changed: (i * 7) % 53, turns: [{ answers: [{ state: "coming" }] }] });
		const list = await history.list();
		return [...list.map(c => c.changed), list.filter(c => c.turns[0].answers[0].state === "stopped").length];
	})`, &kept, awaitPromise))
	if want := []string{"one", "two\nlines", "ü", "", "last"}; !slices.Equal(events, want) {
		t.Errorf("events %q, want %q", events, want)
	}
	if len(wrong) > 0 {
		t.Errorf("%d ways to cut the stream change its events, the first: %s", len(wrong), wrong[0])
	}
	// Of 53 conversations the history keeps the 50 that changed last, the newest first.
	if len(kept) != 51 || kept[0] != 52 || kept[49] != 3 || kept[50] != 50 || !slices.IsSortedFunc(kept[:50], func(a, b int) int { return b - a }) {
		t.Errorf("the history keeps %v", kept)
	}
}
