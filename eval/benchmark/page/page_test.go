package page

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/modular-bridging/bridge/eval/benchmark"
	"github.com/modular-bridging/bridge/internal/testenv/browser"
)

// hostile is a text that tries to leave every context of the page.
const hostile = "</li></script><script>window.attacked = 1</script><img src=x onerror='window.attacked = 1'>\" onfocus=\"window.attacked = 1\x1b[31m\u202e{{.}}"

func of[T any](v T) *T { return &v }

// example is a page with a task of answers, one of ranking, and one of captions.
func example(t *testing.T) Page {
	t.Helper()
	picture := jpegFile(t)
	answers := Task{All: 2000, Result: &benchmark.Result{
		Task:     benchmark.Task{Name: "vqav2-val", Title: "VQAv2 " + hostile, Metric: "vqa", How: "generate"},
		Model:    benchmark.Model{Vision: benchmark.Side{ID: hostile}, Language: &benchmark.Side{ID: "opt"}},
		Subset:   benchmark.Subset{N: 2000, Of: 214354, Seed: 3},
		Settings: benchmark.Settings{Prompt: hostile, Variant: "lavis"},
		N:        2000, Failed: 1, Failures: []benchmark.Failure{{ID: hostile, Error: hostile}}, Warnings: []string{hostile}, Notes: []string{hostile},
		Paper:       &benchmark.Paper{Model: hostile, Sources: []string{"arXiv"}, Differs: []string{hostile}},
		NotComputed: map[string]string{"spice": hostile}, Upload: hostile,
		Figures: []benchmark.Figure{{Key: "value", Title: "VQA accuracy", Percent: true, Value: 53.25, N: 2000, StandardError: 1, Interval: [2]benchmark.Number{51, 55.5}, Paper: of(53.5)}},
	}}
	for i := range 70 {
		answers.Result.Figures = append(answers.Result.Figures, benchmark.Figure{Key: "value", Title: "VQA accuracy", Percent: true, By: "question_type", Name: fmt.Sprint("what is the ", i),
			Value: benchmark.Number(i), N: 20, Interval: [2]benchmark.Number{0, 100}})
	}
	answers.Result.Figures = append(answers.Result.Figures, benchmark.Figure{Key: "value", Title: "VQA accuracy", Percent: true, By: "answer_type", Name: hostile, Value: 50, N: 9, Interval: [2]benchmark.Number{20, 70}})
	for i := range 24 {
		answers.Samples = append(answers.Samples, Sample{Pictures: [][]byte{picture}, Sample: benchmark.Sample{Index: i, ID: fmt.Sprint(i), Picture: "COCO_val2014_000000000042.jpg",
			Prompt: fmt.Sprintf("Question: what is number %d? Answer:", i), Raw: fmt.Sprint("answer ", i), Normalised: fmt.Sprint(i), Target: []string{"red", "red", "blue"},
			Score: of(float64(i%4) / 3), Types: map[string]string{"answer_type": []string{"other", "number", hostile}[i%3]}}})
	}
	answers.Samples[3].Raw, answers.Samples[3].Prompt, answers.Samples[3].Target = hostile, hostile, []string{hostile, "lilac"}
	answers.Samples[4].Missing, answers.Samples[4].Pictures = hostile, nil
	ranked := Task{All: 1, Result: &benchmark.Result{Task: benchmark.Task{Name: "scienceqa-img", Title: "ScienceQA", Metric: "choice", How: "rank"},
		Figures: []benchmark.Figure{{Key: "value", Title: "accuracy", Percent: true, Value: 50, N: 1}}},
		Samples: []Sample{{Pictures: [][]byte{picture, picture}, Sample: benchmark.Sample{ID: "1", Raw: "red", Choices: []string{"blue", "red", hostile}, Losses: []float64{3, 1.25, 2}, Right: of(0),
			Score: of(0.0), Rank: of(2), Matches: &[2][2]float64{{1, 2}, {3, 4}}}}}}
	captions := Task{All: 1, Result: &benchmark.Result{Task: benchmark.Task{Name: "coco-caption", Title: "COCO", Metric: "captions", How: "generate"},
		Figures: []benchmark.Figure{{Key: "cider_d", Title: "CIDEr-D", Value: 1.21, N: 1, Interval: [2]benchmark.Number{1.1, 1.3}, StandardError: benchmark.Number(0.05)}}},
		Samples: []Sample{{Pictures: [][]byte{picture}, Sample: benchmark.Sample{ID: "9", Raw: strings.Repeat("unbroken", 60), Score: of(0.12)}}}}
	return Page{Title: "Evaluation of " + hostile, Tasks: []Task{answers, ranked, captions}, Footer: "Made by " + hostile}
}

func jpegFile(t *testing.T) []byte {
	t.Helper()
	picture := image.NewRGBA(image.Rect(0, 0, 96, 64))
	draw.Draw(picture, picture.Rect, image.NewUniform(color.RGBA{0x20, 0x80, 0x40, 0xff}), image.Point{}, draw.Src)
	var file bytes.Buffer
	if err := jpeg.Encode(&file, picture, nil); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func TestPage(t *testing.T) {
	var page, again bytes.Buffer
	if err := example(t).Write(&page); err != nil {
		t.Fatal(err)
	}
	if err := example(t).Write(&again); err != nil || again.String() != page.String() {
		t.Errorf("two pages of one evaluation differ (%v)", err)
	}
	for _, want := range []string{"53.25 %", "51.00 % to 55.50 %", "53.50 %", "-0.25 %", "1.2100", "red × 2", "2000 of 214354, drawn with seed 3", "24 of 2000 samples",
		"blue <span class=\"soft\">3.000", "rank of the right one</dt><dd>3", "70 groups"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("no %q in the page", want)
		}
	}
	for _, not := range []string{"<script>window", "<img src=x", "onfocus=\"", "\x1b", "\u202e", "ZgotmplZ", ">NaN", "http://", "https://"} {
		if strings.Contains(page.String(), not) {
			t.Errorf("%q in the page", not)
		}
	}
}

// In a browser the filters work, by keyboard too; nothing hostile runs; nothing is wider than the
// screen; and dark mode works.
func TestPageInABrowser(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.html")
	if err := example(t).WriteFile(path); err != nil {
		t.Fatal(err)
	}
	const shown = `[...document.querySelector("ul.samples").children].filter(e => !e.hidden).map(e => Number(e.querySelector("dd").textContent.match(/\d+/)))`
	const state = `({width: document.scrollingElement.scrollWidth, pictures: [...document.images].filter(i => i.complete && i.naturalWidth > 0).length,
		page: getComputedStyle(document.body).backgroundColor, attacked: window.attacked === undefined ? 0 : 1})`
	type seen struct {
		Width, Pictures, Attacked int
		Page                      string
	}
	set := func(name, value string) chromedp.Action {
		return chromedp.Evaluate(fmt.Sprintf(`{const e = document.querySelector("form").elements[%q]; e.value = %q; e.dispatchEvent(new Event("input", {bubbles: true}))}`, name, value), nil)
	}
	var all, right, typed, worst, found, reset []int
	var wide, phone, dark seen
	var count, focused, left string
	browser.Browse(t, path,
		chromedp.EmulateViewport(1200, 900), chromedp.Evaluate(shown, &all), chromedp.Evaluate(state, &wide),
		set("from", "1"), chromedp.Evaluate(shown, &right), chromedp.Text(".count", &count),
		set("type", "2"), chromedp.Evaluate(shown, &typed),
		chromedp.Click(`form button[type=reset]`), chromedp.Poll(`[...document.querySelector("ul.samples").children].every(e => !e.hidden)`, nil), chromedp.Evaluate(shown, &reset),
		set("order", "worst"), chromedp.Evaluate(shown, &worst),
		chromedp.Evaluate(`document.activeElement.blur()`, nil),
		input.DispatchKeyEvent(input.KeyDown).WithKey("/").WithText("/"), chromedp.KeyEvent("lilac"), chromedp.Evaluate(shown, &found),
		chromedp.KeyEvent(kb.Escape), chromedp.KeyEvent("j"), chromedp.Evaluate(`document.activeElement.tagName`, &focused),
		chromedp.KeyEvent(kb.Tab), chromedp.Evaluate(`document.activeElement.tagName`, &left),
		chromedp.EmulateViewport(390, 844), chromedp.Evaluate(state, &phone),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}), chromedp.Evaluate(state, &dark))
	if len(all) != 24 || len(reset) != 24 {
		t.Errorf("%d samples at first and %d after a reset, want 24", len(all), len(reset))
	}
	if len(right) != 6 || right[1] != 7 || right[5] != 23 {
		t.Errorf("with score 1: %v", right)
	}
	if count != "6 shown of the" || len(typed) != 2 {
		t.Errorf("count %q; of a type: %v", count, typed)
	}
	if len(worst) != 24 || worst[0] != 0 || worst[1] != 4 {
		t.Errorf("worst first: %v", worst)
	}
	if len(found) != 1 || focused != "LI" || left != "SUMMARY" {
		t.Errorf("by text: %v; focus on %s, then on %s", found, focused, left)
	}
	if wide.Pictures != 26 || wide.Attacked+phone.Attacked+dark.Attacked != 0 {
		t.Errorf("%d pictures, want 26; attacked: %v", wide.Pictures, wide.Attacked)
	}
	if phone.Width > 390 {
		t.Errorf("on a phone the page is %d pixels wide", phone.Width)
	}
	if dark.Page == wide.Page {
		t.Errorf("in dark mode the page is %s, as in light mode", dark.Page)
	}
}

func TestPick(t *testing.T) {
	samples := func(n int, score func(i int) *float64) []benchmark.Sample {
		all := make([]benchmark.Sample, n)
		for i := range all {
			all[n-1-i] = benchmark.Sample{Index: i, ID: fmt.Sprint(i), Score: score(i)} // in another order than the task's
		}
		all[n-1-7].Error = "picture is damaged"
		return all
	}
	chosen := Pick(samples(5000, func(i int) *float64 { return of(float64(i) / 5000) }))
	index := map[int]bool{}
	for i, s := range chosen {
		index[s.Index] = true
		if i > 0 && chosen[i-1].Index >= s.Index {
			t.Errorf("%d is before %d", chosen[i-1].Index, s.Index)
		}
	}
	if len(chosen) != 120 {
		t.Errorf("%d samples, want 120", len(chosen))
	}
	for i := range 41 { // the 40 worst, without one that failed
		if index[i] == (i == 7) {
			t.Errorf("sample %d is shown: %v", i, index[i])
		}
	}
	for i := range 40 {
		if !index[4999-i] {
			t.Errorf("sample %d is not shown", 4999-i)
		}
	}
	// Of equal scores, those that are chosen are spread over the task.
	chosen, late := Pick(samples(5000, func(i int) *float64 { return of(float64(i % 2)) })), 0
	for _, s := range chosen {
		if s.Index >= 2500 {
			late++
		}
	}
	if len(chosen) != 120 || late < 40 || late > 80 {
		t.Errorf("%d samples, %d of the second half", len(chosen), late)
	}
	// A small set is shown whole, also without scores.
	if chosen = Pick(samples(100, func(int) *float64 { return nil })); len(chosen) != 99 {
		t.Errorf("%d of 100, of which one failed", len(chosen))
	}
}
