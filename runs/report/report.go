// Package report writes HTML reports. A report is one file that loads nothing from a network. It
// can be read in light and dark mode and on a phone.
//
// A [Report] is a plain value with tables, charts, and pictures with captions. Its text is
// escaped and has no control characters, because captions come from models and names come from
// files. The package does not
// change or keep the pictures.
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
	"github.com/modular-bridging/bridge/internal/printable"
)

// Report is the content of a report, in the order of the page.
type Report struct {
	Title      string
	Paragraphs []string
	Tables     []Table
	Charts     []Chart
	// Runs are the names of the runs that wrote the captions of every sample, in order: "warm",
	// "cold".
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

// Chart is a set of curves of one quantity. It is drawn over steps and, if all series have
// seconds, also over seconds.
type Chart struct {
	Title  string
	YLabel string
	XLabel string // of Steps, if they are something else: "language-model passes"
	// LogX and LogY make an axis logarithmic. All numbers on such an axis are above 0, except
	// those of bands.
	LogX, LogY bool
	Series     []Series
	Level      *Level // may be nil
}

// Level is a horizontal line to compare the curves with.
type Level struct {
	Name  string
	Value float64
}

// Series is one curve. Its slices have the same length.
type Series struct {
	Name    string
	Steps   []float64
	Seconds []float64 // may be nil
	Values  []float64
	// Low and High are the bounds of a band around the curve, for the range over seeds. If they
	// are nil, there is no band.
	Low, High []float64
}

// Sample is a picture with its true caption and the captions of the runs.
type Sample struct {
	Image    image.Image
	Truth    string
	Captions []string // one for each run
	Notes    []Note
}

// Note is a list below a sample's captions. A reader opens it.
type Note struct {
	Title string
	Lines []string // numbered from 1
}

// FromRGB converts a picture uint8[H, W, 3] to an image.
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

// view is the data of the template.
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

// legend is a curve's name with the stroke of the curve.
type legend struct {
	Name, Color, Dashes string
}

type card struct {
	Picture  template.URL
	Truth    string
	Captions []caption
	Notes    []Note
}

type caption struct {
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
	var buf bytes.Buffer
	if err := t.Execute(&buf, v); err != nil {
		return err
	}
	_, err = io.WriteString(w, printable.Text(buf.String()))
	return err
}

// WriteFile renders the report into a file. After an error, the file is unchanged.
func (r Report) WriteFile(path string) error { return atomicfile.Write(path, r.Write) }

// card prepares a sample for the template.
func (r Report) card(s Sample) (card, error) {
	if len(s.Captions) != len(r.Runs) {
		return card{}, fmt.Errorf("has %d captions, want one for each of %d runs", len(s.Captions), len(r.Runs))
	}
	var buf bytes.Buffer
	if err := png.Encode(&buf, s.Image); err != nil {
		return card{}, err
	}
	c := card{Truth: s.Truth, Notes: s.Notes, Picture: template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(buf.Bytes()))}
	for i, text := range s.Captions {
		c.Captions = append(c.Captions, caption{Run: r.Runs[i], Text: text, Right: text == s.Truth})
	}
	return c, nil
}
