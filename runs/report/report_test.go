package report

import (
	"bytes"
	"encoding/base64"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

func example() Report {
	picture := adapters.FromUint8(bytes.Repeat([]uint8{10, 20, 30}, 4*2), 2, 4, 3)
	return Report{
		Title:      "tiny-vit & <tiny-opt>",
		Paragraphs: []string{"One <b>paragraph</b>."},
		Tables:     []Table{{Title: "Runs", Header: []string{"run", "loss"}, Rows: [][]string{{"warm", "0.09"}, {"cold", "0.16"}}}},
		Charts: []Chart{{Title: "Held-out loss", YLabel: "nats", Series: []Series{
			{Name: "warm <w>", Steps: []float64{0, 50, 100}, Seconds: []float64{0, 8, 16}, Values: []float64{3, 1, 0.5}},
			{Name: "cold", Steps: []float64{0, 100}, Seconds: []float64{0, 15}, Values: []float64{4, 2}}}}},
		Runs: []string{"warm", "cold"},
		Samples: []Sample{{Image: FromRGB(picture), Truth: "a dog",
			Captions: []string{"a dog", `<script src="https://evil.example/x.js"></script>`},
			Notes:    []Note{{Title: "words of each query: warm", Lines: []string{"dog 0.93, <b> 0.04", "two 1.00"}}}}},
		Footer: "made by bridge demo",
	}
}

func render(t *testing.T, r Report) string {
	t.Helper()
	var buf bytes.Buffer
	if err := r.Write(&buf); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func TestReport(t *testing.T) {
	html := render(t, example())
	for _, want := range []string{
		"<title>tiny-vit &amp; &lt;tiny-opt&gt;</title>", "One &lt;b&gt;paragraph", "<td>0.16</td>",
		">Held-out loss</h2>", ">seconds<", ">steps<",
		`<dd class="right">a dog</dd>`, `<dd class="wrong">&lt;script src=`,
		"<summary>words of each query: warm</summary><ol><li>dog 0.93, &lt;b&gt; 0.04</li><li>two 1.00</li></ol>",
		"prefers-color-scheme: dark", "width=device-width", "made by bridge demo",
	} {
		if !strings.Contains(html, want) {
			t.Errorf("no %q in the report", want)
		}
	}
	if n := strings.Count(html, "<svg"); n != 4 {
		t.Errorf("%d drawings, want a chart over steps, one over seconds and two strokes in the legend", n)
	}
	if strings.Contains(html, "warm <w>") {
		t.Error("a series' name is not escaped")
	}
}

// Every color in the report is valid. A browser ignores an invalid color without an error.
func TestColorsAreValid(t *testing.T) {
	r := example()
	r.Charts[0].Series[1].Low, r.Charts[0].Series[1].High = []float64{3, 1}, []float64{5, 3}
	colors := regexp.MustCompile(`(?:fill|stroke)(?:: ?|=")([^;"]*)`).FindAllStringSubmatch(render(t, r), -1)
	valid := regexp.MustCompile(`^(?:none|currentColor|var\(--[a-z]+\)|#[0-9A-Fa-f]{6})$`)
	if len(colors) < 20 {
		t.Fatalf("found %d colors in the report", len(colors))
	}
	for _, c := range colors {
		if !valid.MatchString(c[1]) {
			t.Errorf("invalid color %q", c[0])
		}
	}
}

// The page loads nothing: every reference is a data URI.
func TestNothingIsLoaded(t *testing.T) {
	html := render(t, example())
	references := regexp.MustCompile(`(?i)<[^>]*\b(?:src|href|srcset|action|data|poster)\s*=\s*["']?([^"'\s>]*)`)
	for _, m := range references.FindAllStringSubmatch(html, -1) {
		if !strings.HasPrefix(m[1], "data:image/png;base64,") {
			t.Errorf("the page loads %q", m[0])
		}
	}
	for _, bad := range []string{"<script", "<link", "<iframe", "@import", "url(", "xmlns"} {
		if strings.Contains(html, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	if strings.Count(html, "http") != strings.Count(html, "&lt;script src=&#34;https://") {
		t.Error("the page has an address other than the one in the escaped caption")
	}
}

func TestPictureIsWhole(t *testing.T) {
	html := render(t, example())
	m := regexp.MustCompile(`data:image/png;base64,([^"]*)"`).FindStringSubmatch(html)
	if m == nil {
		t.Fatal("no picture")
	}
	data, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(m[1], "&#43;", "+"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if got.Bounds().Dx() != 4 || got.Bounds().Dy() != 2 || color.NRGBAModel.Convert(got.At(3, 1)) != (color.NRGBA{10, 20, 30, 255}) {
		t.Errorf("picture %v, pixel %v", got.Bounds(), got.At(3, 1))
	}
}

func TestWrongReports(t *testing.T) {
	r := example()
	r.Samples[0].Captions = r.Samples[0].Captions[:1]
	if err := r.Write(&bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "1 captions") {
		t.Errorf("a caption is missing: %v", err)
	}
	r = example()
	r.Charts[0].Series[1].Seconds = []float64{1}
	if err := r.Write(&bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "1 positions for 2 values") {
		t.Errorf("series with two lengths: %v", err)
	}
}

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.html")
	if err := example().WriteFile(path); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil || string(data) != render(t, example()) {
		t.Errorf("the file differs from the rendered report (%v)", err)
	}
	if err := example().WriteFile(filepath.Join(t.TempDir(), "none", "x.html")); err == nil {
		t.Error("WriteFile returned no error for a folder that does not exist")
	}
}
