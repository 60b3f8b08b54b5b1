package report

import (
	"bytes"
	"fmt"
	"html/template"
	"image/color"
	"regexp"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Size of a chart in points; the page scales it to the width that there is.
const (
	chartWidth  = 420
	chartHeight = 260
)

// palette is Okabe and Ito's, which people with any colour vision tell apart.
func palette() []color.Color {
	return []color.Color{
		color.RGBA{0x00, 0x72, 0xb2, 0xff}, color.RGBA{0xd5, 0x5e, 0x00, 0xff}, color.RGBA{0x00, 0x9e, 0x73, 0xff},
		color.RGBA{0xcc, 0x79, 0xa7, 0xff}, color.RGBA{0xe6, 0x9f, 0x00, 0xff}, color.RGBA{0x56, 0xb4, 0xe9, 0xff},
	}
}

// figure draws the chart over steps and, where it can, over seconds.
func (c Chart) figure() (figure, error) {
	f := figure{Title: c.Title}
	axes := []struct {
		label string
		of    func(Series) []float64
	}{{"steps", func(s Series) []float64 { return s.Steps }}, {"seconds", func(s Series) []float64 { return s.Seconds }}}
	for _, axis := range axes {
		if slices.ContainsFunc(c.Series, func(s Series) bool { return axis.of(s) == nil }) {
			continue
		}
		svg, err := c.draw(axis.label, axis.of)
		if err != nil {
			return figure{}, err
		}
		f.SVG = append(f.SVG, svg)
	}
	return f, nil
}

func (c Chart) draw(xLabel string, xOf func(Series) []float64) (template.HTML, error) {
	p := plot.New()
	p.BackgroundColor = color.Transparent
	p.X.Label.Text, p.Y.Label.Text = xLabel, c.YLabel
	p.Legend.Top = true
	p.Add(plotter.NewGrid())
	colors := palette()
	for i, s := range c.Series {
		x := xOf(s)
		if len(x) != len(s.Values) {
			return "", fmt.Errorf("series %q has %d %s for %d values", s.Name, len(x), xLabel, len(s.Values))
		}
		points := make(plotter.XYs, len(x))
		for j := range x {
			points[j] = plotter.XY{X: x[j], Y: s.Values[j]}
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			return "", fmt.Errorf("series %q: %w", s.Name, err)
		}
		line.Color, line.Width = colors[i%len(colors)], vg.Points(1.8)
		line.Dashes = dashes(i)
		p.Add(line)
		p.Legend.Add(s.Name, line)
	}
	canvas := vgsvg.New(chartWidth, chartHeight)
	p.Draw(draw.New(canvas))
	var buf bytes.Buffer
	if _, err := canvas.WriteTo(&buf); err != nil {
		return "", err
	}
	return inline(buf.Bytes()), nil
}

// dashes tells curves apart without colour.
func dashes(i int) []vg.Length {
	patterns := [][]vg.Length{nil, {vg.Points(6), vg.Points(3)}, {vg.Points(2), vg.Points(2)}}
	return patterns[i%len(patterns)]
}

var (
	prologue   = regexp.MustCompile(`(?s)^.*?<svg `)
	namespaces = regexp.MustCompile(`\s+xmlns(:\w+)?="[^"]*"`)
	fixedSize  = regexp.MustCompile(`^<svg width="[^"]*" height="[^"]*"`)
)

// inline makes a stand-alone SVG file a part of a page: no XML prologue, no
// namespaces, no size of its own. The text in it was escaped by the library.
func inline(svg []byte) template.HTML {
	svg = prologue.ReplaceAll(svg, []byte("<svg "))
	svg = namespaces.ReplaceAll(svg, nil)
	return template.HTML(fixedSize.ReplaceAll(svg, []byte(`<svg role="img"`)))
}
