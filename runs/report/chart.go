package report

import (
	"bytes"
	"cmp"
	"fmt"
	"html/template"
	"image/color"
	"regexp"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The size of a chart in points. The page scales it to the available width.
const (
	chartWidth  = 420
	chartHeight = 250
)

// palette returns the colors of Okabe and Ito, which people with any color vision can tell
// apart.
func palette() []color.RGBA {
	return []color.RGBA{
		{0x00, 0x72, 0xb2, 0xff}, {0xd5, 0x5e, 0x00, 0xff}, {0x00, 0x9e, 0x73, 0xff},
		{0xcc, 0x79, 0xa7, 0xff}, {0xe6, 0x9f, 0x00, 0xff}, {0x56, 0xb4, 0xe9, 0xff},
	}
}

// stroke returns the color and the dashes of curve i. Curves with the same color have other
// dashes.
func stroke(i int) (color.RGBA, []vg.Length) {
	colors := palette()
	patterns := [][]vg.Length{nil, {vg.Points(6), vg.Points(3)}, {vg.Points(2), vg.Points(2)}}
	return colors[i%len(colors)], patterns[(i+i/len(colors))%len(patterns)]
}

// figure draws the chart over steps and, if all series have seconds, over seconds.
func (c Chart) figure() (figure, error) {
	f := figure{Title: c.Title}
	for i, s := range c.Series {
		f.Legend = append(f.Legend, legendOf(i, s.Name))
	}
	if c.Level != nil {
		f.Legend = append(f.Legend, legendOf(len(c.Series), c.Level.Name))
	}
	axes := []struct {
		label string
		of    func(Series) []float64
	}{
		{cmp.Or(c.XLabel, "steps"), func(s Series) []float64 { return s.Steps }},
		{"seconds", func(s Series) []float64 { return s.Seconds }},
	}
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

// legendOf returns the legend of curve i.
func legendOf(i int, name string) legend {
	ink, dashes := stroke(i)
	var lengths []string
	for _, d := range dashes {
		lengths = append(lengths, fmt.Sprint(d.Points()))
	}
	return legend{Name: name, Color: fmt.Sprintf("#%02x%02x%02x", ink.R, ink.G, ink.B), Dashes: strings.Join(lengths, " ")}
}

// draw draws the chart over one axis as an SVG.
func (c Chart) draw(xLabel string, xOf func(Series) []float64) (template.HTML, error) {
	p := plot.New()
	p.BackgroundColor = nil // transparent, so that the page's background shows
	p.X.Label.Text, p.Y.Label.Text = xLabel, c.YLabel
	p.X.Min, p.X.Max, p.Y.Min = 0, 1, 0
	if err := c.scale(p, xOf); err != nil {
		return "", fmt.Errorf("over %s: %w", xLabel, err)
	}
	p.Add(plotter.NewGrid())
	for i, s := range c.Series {
		if c.LogY { // a band may reach below the axis
			s.Low, s.High = above(s.Low, p.Y.Min), above(s.High, p.Y.Min)
		}
		if err := add(p, i, s, xOf(s)); err != nil {
			return "", fmt.Errorf("series %q over %s: %w", s.Name, xLabel, err)
		}
	}
	if err := c.addLevel(p); err != nil {
		return "", fmt.Errorf("level %q over %s: %w", c.Level.Name, xLabel, err)
	}
	canvas := vgsvg.New(chartWidth, chartHeight)
	// Leave space for half of the outermost ticks' labels, and for fonts that are taller than the
	// font that the library measures.
	p.Draw(draw.Crop(draw.New(canvas), vg.Points(4), -vg.Points(14), vg.Points(6), -vg.Points(8)))
	var buf bytes.Buffer
	if _, err := canvas.WriteTo(&buf); err != nil {
		return "", err
	}
	return inline(buf.Bytes()), nil
}

// addLevel draws the level from one side to the other, after the curves.
func (c Chart) addLevel(p *plot.Plot) error {
	if c.Level == nil {
		return nil
	}
	line, err := plotter.NewLine(zip([]float64{p.X.Min, p.X.Max}, []float64{c.Level.Value, c.Level.Value}))
	if err != nil {
		return err
	}
	line.Color, line.Dashes = stroke(len(c.Series))
	line.Width = vg.Points(1.2)
	p.Add(line)
	return nil
}

// add draws curve i: its band, a line, and a point at every measurement.
func add(p *plot.Plot, i int, s Series, x []float64) error {
	if len(x) != len(s.Values) {
		return fmt.Errorf("got %d positions for %d values", len(x), len(s.Values))
	}
	ink, dashes := stroke(i)
	if s.Low != nil || s.High != nil {
		if len(s.Low) != len(x) || len(s.High) != len(x) {
			return fmt.Errorf("got a band with %d low and %d high values for %d values", len(s.Low), len(s.High), len(x))
		}
		ring := zip(x, s.High)
		below := zip(x, s.Low)
		slices.Reverse(below)
		band, err := plotter.NewPolygon(append(ring, below...))
		if err != nil {
			return err
		}
		band.LineStyle.Width, band.Color = 0, color.NRGBA{ink.R, ink.G, ink.B, 0x30}
		p.Add(band)
	}
	line, points, err := plotter.NewLinePoints(zip(x, s.Values))
	if err != nil {
		return err
	}
	line.Color, line.Width, line.Dashes = ink, vg.Points(1.8), dashes
	points.Color, points.Shape, points.Radius = ink, draw.CircleGlyph{}, vg.Points(2.2)
	p.Add(line, points)
	return nil
}

func zip(x, y []float64) plotter.XYs {
	points := make(plotter.XYs, len(x))
	for i := range x {
		points[i] = plotter.XY{X: x[i], Y: y[i]}
	}
	return points
}

var (
	prologue   = regexp.MustCompile(`(?s)^.*?<svg `)
	namespaces = regexp.MustCompile(`\s+xmlns(:\w+)?="[^"]*"`)
	fixedSize  = regexp.MustCompile(`^<svg width="[^"]*" height="[^"]*"`)
)

// inline converts an SVG file to an element of a page: it removes the XML prologue, the
// namespaces and the fixed size. The library has escaped the text in it.
func inline(svg []byte) template.HTML {
	svg = prologue.ReplaceAll(svg, []byte("<svg "))
	svg = namespaces.ReplaceAll(svg, nil)
	return template.HTML(fixedSize.ReplaceAll(svg, []byte(`<svg role="img"`)))
}
