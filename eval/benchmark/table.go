package benchmark

import (
	"fmt"
	"strings"
	"time"

	"github.com/modular-bridging/bridge/eval/score"
)

// Table returns the figures as a table, each with its interval, and with the paper's value if the model is a
// published one.
func (out *Result) Table() (header []string, rows [][]string) {
	header = []string{"", "value", "95 % interval", "± s.e.", "n"}
	if out.Paper != nil {
		header = append(header, "paper")
	}
	for _, f := range out.Figures {
		name := f.Title
		if f.By != "" {
			name = "  " + strings.ReplaceAll(f.By, "_", " ") + ": " + f.Name
			if f.Key == "cider_d_own_references" {
				name += " (own references)"
			}
		}
		row := []string{name, f.Text(float64(f.Value)), f.Text(float64(f.Interval[0])) + " to " + f.Text(float64(f.Interval[1])), f.Text(float64(f.StandardError)), fmt.Sprint(f.N)}
		if out.Paper != nil {
			cell := ""
			if f.Paper != nil {
				cell = f.Text(*f.Paper)
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	return header, rows
}

// Text returns a number as the figure shows it.
func (f Figure) Text(value float64) string {
	return score.FigureText(value, f.Percent)
}

// Heading returns a line that says what the figures are of.
func (out *Result) Heading() string {
	parts := []string{out.Task.Name + " (" + out.Task.Title + ")"}
	if out.Settings.Variant != "" {
		parts = append(parts, "variant "+out.Settings.Variant)
	}
	if out.Settings.Tokenizer != "" {
		parts = append(parts, "tokenizer "+out.Settings.Tokenizer)
	}
	if out.Settings.Rank != "" {
		parts = append(parts, "ranked by "+out.Settings.Rank)
	}
	parts = append(parts, out.Subset.String())
	took := time.Duration(out.Seconds * float64(time.Second)).Round(time.Second / 10)
	return strings.Join(append(parts, fmt.Sprintf("%s, %.1f samples/s", took, out.SamplesPerSecond)), ", ")
}

// Remarks returns sentences that belong below the table: what differs from the paper, and notes.
func (out *Result) Remarks() []string {
	var lines []string
	if p := out.Paper; p != nil {
		lines = append(lines, fmt.Sprintf("paper: %s, %s", p.Model, strings.Join(p.Sources, "; ")))
		if len(p.Differs) > 0 {
			lines = append(lines, "differs from it: "+strings.Join(p.Differs, "; "))
		}
	}
	return append(lines, out.Notes...)
}
