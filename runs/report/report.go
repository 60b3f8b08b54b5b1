// Package report writes the HTML report of a run: one file that needs no
// network, readable in light and dark and on a phone.
//
// A [Report] is a plain value; the caller keeps owning the pictures in it. All
// text is escaped: captions come out of a model and names out of files.
package report

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"image"
	"image/png"
	"io"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/atomicfile"
)

// Report is what the file shows, from top to bottom.
type Report struct {
	Title      string
	Paragraphs []string
	Tables     []Table
	Charts     []Chart
	// Runs names the captions of every sample, in order: "warm", "cold".
	Runs    []string
	Samples []Sample
	Footer  string // how to make the report again
}

// Table is a table with a heading. The first column names the row.
type Table struct {
	Title  string
	Header []string
	Rows   [][]string
}

// Chart is curves of one quantity. It is drawn over steps and, where all
// series have them, over seconds.
type Chart struct {
	Title  string
	YLabel string
	Series []Series
}

// Series is one curve; the slices have one length.
type Series struct {
	Name    string
	Steps   []float64
	Seconds []float64 // may be nil
	Values  []float64
	// Low and High bound a band around the curve, the spread over seeds; nil
	// draws none.
	Low, High []float64
}

// Sample is a picture with what is true of it and what was said of it.
type Sample struct {
	Image    image.Image
	Truth    string
	Captions []string // one a run
}

// FromRGB returns a picture uint8[H, W, 3] as an image.
func FromRGB(picture *adapters.Tensor) image.Image {
	height, width, pixels := picture.Shape[0], picture.Shape[1], picture.Data
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	for i := range width * height {
		copy(m.Pix[4*i:], pixels[3*i:3*i+3])
		m.Pix[4*i+3] = 255
	}
	return m
}

//go:embed report.html
var page string

// view is what the template reads.
type view struct {
	Report
	Figures []figure
	Cards   []card
}

type figure struct {
	Title  string
	Legend []legend
	SVG    []template.HTML
}

// legend is a curve's name with a stroke that looks like it.
type legend struct {
	Name, Color, Dashes string
}

type card struct {
	Picture template.URL
	Truth   string
	Says    []saying
}

type saying struct {
	Run, Text string
	Right     bool
}

// Write renders the report.
func (r Report) Write(w io.Writer) error {
	t, err := template.New("report").Parse(page)
	if err != nil {
		return fmt.Errorf("report template: %w", err)
	}
	v := view{Report: r}
	for _, c := range r.Charts {
		f, err := c.figure()
		if err != nil {
			return fmt.Errorf("chart %q: %w", c.Title, err)
		}
		v.Figures = append(v.Figures, f)
	}
	for i, s := range r.Samples {
		c, err := r.card(s)
		if err != nil {
			return fmt.Errorf("sample %d: %w", i, err)
		}
		v.Cards = append(v.Cards, c)
	}
	return t.Execute(w, v)
}

// WriteFile renders the report into a file, which is whole or not there.
func (r Report) WriteFile(path string) error { return atomicfile.Write(path, r.Write) }

func (r Report) card(s Sample) (card, error) {
	if len(s.Captions) != len(r.Runs) {
		return card{}, fmt.Errorf("has %d captions, want one for each of %d runs", len(s.Captions), len(r.Runs))
	}
	var buf bytes.Buffer
	if err := png.Encode(&buf, s.Image); err != nil {
		return card{}, err
	}
	c := card{Truth: s.Truth, Picture: template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(buf.Bytes()))}
	for i, text := range s.Captions {
		c.Says = append(c.Says, saying{Run: r.Runs[i], Text: text, Right: text == s.Truth})
	}
	return c, nil
}
