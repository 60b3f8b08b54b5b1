package page

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/eval/benchmark"
	"github.com/modular-bridging/bridge/eval/score"
)

// view is the data of the template.
type view struct {
	Title, Footer string
	Tasks         []taskView
	Policy        template.HTML
	Script        template.JS
}

type taskView struct {
	ID     int // of the page's elements
	Result *benchmark.Result
	// Figures are those of all samples, Bars those of groups.
	Figures  []figureView
	HasPaper bool
	Bars     []barsView
	Settings []setting
	Kinds    []kindView // of types to filter by
	Cards    []cardView
	Shown    string // which samples are shown
}

// Main returns the main figures.
func (t taskView) Main() []figureView {
	var all []figureView
	for _, f := range t.Result.Main() {
		all = append(all, figureOf(f))
	}
	return all
}

type setting struct{ Name, Value string }

type figureView struct {
	Title, Value, Interval, Error, Paper, Difference string
	N                                                int
}

// barsView is a figure by the groups of one kind.
type barsView struct {
	Title string
	Bars  []bar
	Many  bool // too many to be shown at once
}

// bar is a bar with the whisker of its interval, in percent of the scale.
type bar struct {
	Name, Value, Interval string
	N                     int
	Length, Low, High     float64
}

// kindView is a kind of types.
type kindView struct {
	Name  string
	Types []typeView
}

type typeView struct {
	ID   int
	Name string
}

type cardView struct {
	Types    string // the ids of its types
	Score    string // a number, or empty
	Mark     string // right, wrong, or empty
	Pictures []template.URL
	Missing  string
	Question string
	Answer   string
	// Normalised is empty if it is the answer.
	Normalised string
	Targets    []string
	Choices    []choiceView
	Lines      []setting
	Tags       []string
}

type choiceView struct {
	Text, Loss  string
	Right, Best bool
}

// viewOf prepares a task for the template.
func viewOf(id int, t Task) taskView {
	v := taskView{ID: id, Result: t.Result, Settings: settings(t.Result)}
	scale := map[string]float64{}
	groups := map[string]int{}
	for _, f := range t.Result.Figures {
		scale[f.Key] = max(scale[f.Key], float64(f.Value), float64(f.Interval[1]))
	}
	for _, f := range t.Result.Figures {
		if f.By == "" {
			v.Figures = append(v.Figures, figureOf(f))
			v.HasPaper = v.HasPaper || f.Paper != nil
			continue
		}
		title := f.Title + " by " + plain(f.By)
		i, ok := groups[title]
		if !ok {
			i = len(v.Bars)
			groups[title] = i
			v.Bars = append(v.Bars, barsView{Title: title})
		}
		full := scale[f.Key]
		if f.Percent {
			full = 100
		}
		v.Bars[i].Bars = append(v.Bars[i].Bars, barOf(f, full))
	}
	for i := range v.Bars {
		const most = 16
		v.Bars[i].Many = len(v.Bars[i].Bars) > most
	}
	v.addSamples(t)
	return v
}

// addSamples adds the cards and the types to filter them by.
func (v *taskView) addSamples(t Task) {
	types := map[string]map[string]int{}
	for _, s := range t.Samples {
		for kind, name := range s.Types {
			if types[kind] == nil {
				types[kind] = map[string]int{}
			}
			types[kind][name] = 0
		}
	}
	n := 0
	for _, kind := range slices.Sorted(maps.Keys(types)) {
		k := kindView{Name: plain(kind)}
		for _, name := range slices.Sorted(maps.Keys(types[kind])) {
			n++
			types[kind][name] = n
			k.Types = append(k.Types, typeView{n, name})
		}
		v.Kinds = append(v.Kinds, k)
	}
	for _, s := range t.Samples {
		v.Cards = append(v.Cards, cardOf(t.Result, s, types))
	}
	v.Shown = fmt.Sprintf("%d of %d samples: the worst, the best, and others", len(t.Samples), t.All)
	if len(t.Samples) == t.All {
		v.Shown = "all samples"
	}
}

// plain returns a key as people read it.
func plain(key string) string { return strings.ReplaceAll(key, "_", " ") }

func interval(f benchmark.Figure) string {
	return f.Text(float64(f.Interval[0])) + " to " + f.Text(float64(f.Interval[1]))
}

func figureOf(f benchmark.Figure) figureView {
	v := figureView{Title: f.Title, Value: f.Text(float64(f.Value)), Interval: interval(f), Error: f.Text(float64(f.StandardError)), N: f.N}
	if f.Better == "lower" {
		v.Title += " (lower is better)"
	}
	if f.Paper != nil {
		v.Paper = f.Text(*f.Paper)
		if difference := float64(f.Value) - *f.Paper; !math.IsNaN(difference) {
			v.Difference = f.Text(difference)
			if difference > 0 {
				v.Difference = "+" + v.Difference
			}
		}
	}
	return v
}

// barOf returns the bar of a figure on a scale from 0 to full.
func barOf(f benchmark.Figure, full float64) bar {
	at := func(n benchmark.Number) float64 {
		if v := 100 * float64(n) / full; full > 0 && v >= 0 { // not NaN
			return min(v, 100)
		}
		return 0
	}
	return bar{Name: f.Name, Value: f.Text(float64(f.Value)), Interval: interval(f), N: f.N,
		Length: at(f.Value), Low: at(f.Interval[0]), High: at(f.Interval[1])}
}

// settings lists what the figures depend on.
func settings(r *benchmark.Result) []setting {
	var all []setting
	add := func(name, value string) {
		if value != "" {
			all = append(all, setting{name, value})
		}
	}
	add("prompt", r.Settings.Prompt)
	add("question processor", r.Settings.Question)
	if r.Settings.Generate != nil {
		if text, err := json.Marshal(r.Settings.Generate); err == nil {
			add("generation", string(text))
		}
	}
	add("ranking", r.Settings.Rank)
	if r.Settings.Rerank != nil {
		add("re-ranked candidates", strconv.Itoa(*r.Settings.Rerank))
	}
	add("variant", r.Settings.Variant)
	add("tokenizer", r.Settings.Tokenizer)
	add("batch", strconv.Itoa(r.Settings.Batch))
	add("backend", r.Settings.Backend)
	add("samples", subset(r.Subset))
	add("speed", fmt.Sprintf("%.4g samples/s, %.0f s", r.SamplesPerSecond, r.Seconds))
	add("vision encoder", side(r.Model.Vision))
	if r.Model.Language != nil {
		add("language model", side(*r.Model.Language))
	}
	add("digest of the model", r.Model.Digest)
	add("digest of the task", r.Task.Digest)
	add("digest of the data", r.Data.Digest)
	for _, f := range r.Data.Files {
		add("file of "+f.Role, f.Path)
	}
	add("file for a server", r.Upload)
	return all
}

func subset(s benchmark.Subset) string {
	if s.All() {
		return fmt.Sprintf("all %d", s.Of)
	}
	return fmt.Sprintf("%d of %d, drawn with seed %d", s.N, s.Of, s.Seed)
}

func side(s benchmark.Side) string {
	text := fmt.Sprintf("%s (%s, width %d, %s", s.ID, s.Family, s.Width, s.DType)
	if len(s.Picture) == 2 {
		text += fmt.Sprintf(", %d × %d px", s.Picture[1], s.Picture[0])
	}
	return text + ")"
}

// cardOf prepares a sample. types has the ids of types by kind and name.
func cardOf(r *benchmark.Result, s Sample, types map[string]map[string]int) cardView {
	c := cardView{Missing: s.Missing, Question: s.Prompt, Answer: s.Raw, Targets: counted(s.Target), Lines: []setting{{"id", s.ID}}}
	if s.Normalised != s.Raw {
		c.Normalised = s.Normalised
	}
	var ids []string
	for _, kind := range slices.Sorted(maps.Keys(s.Types)) {
		name := s.Types[kind]
		ids = append(ids, strconv.Itoa(types[kind][name]))
		c.Tags = append(c.Tags, plain(kind)+": "+name)
	}
	c.Types = strings.Join(ids, " ")
	for _, picture := range s.Pictures {
		c.Pictures = append(c.Pictures, template.URL("data:image/jpeg;base64,"+base64.StdEncoding.EncodeToString(picture)))
	}
	if s.Score != nil {
		c.Score = strconv.FormatFloat(math.Round(*s.Score*1000)/1000, 'f', -1, 64)
		// Captions are not right or wrong: their score is a tenth of CIDEr-D.
		if r.Task.Metric != score.Captions {
			switch {
			case *s.Score >= 0.999:
				c.Mark = "right"
			case *s.Score <= 0.001:
				c.Mark = "wrong"
			}
		}
	}
	c.addChoices(s)
	if s.Rank != nil {
		c.Lines = append(c.Lines, setting{"rank of the right one", strconv.Itoa(*s.Rank + 1)})
	}
	if m := s.Matches; m != nil {
		c.Lines = append(c.Lines, setting{"captions (rows) with pictures", fmt.Sprintf("%.3f %.3f / %.3f %.3f", m[0][0], m[0][1], m[1][0], m[1][1])})
	}
	if s.Picture != "" {
		c.Lines = append(c.Lines, setting{"picture", s.Picture})
	}
	return c
}

// addChoices adds the candidates of a sample that was ranked, the best first.
func (c *cardView) addChoices(s Sample) {
	order := make([]int, len(s.Choices))
	for i := range order {
		order[i] = i
	}
	if len(s.Losses) == len(s.Choices) {
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(s.Losses[a], s.Losses[b]) })
	}
	for n, i := range order {
		choice := choiceView{Text: s.Choices[i], Right: s.Right != nil && *s.Right == i, Best: n == 0}
		if i < len(s.Losses) {
			choice.Loss = fmt.Sprintf("%.3f", s.Losses[i])
		}
		c.Choices = append(c.Choices, choice)
	}
}

// counted returns distinct texts with how often each is there, the most frequent first.
func counted(texts []string) []string {
	count := map[string]int{}
	var distinct []string
	for _, t := range texts {
		if count[t]++; count[t] == 1 {
			distinct = append(distinct, t)
		}
	}
	slices.SortStableFunc(distinct, func(a, b string) int { return count[b] - count[a] })
	for i, t := range distinct {
		if count[t] > 1 {
			distinct[i] = fmt.Sprintf("%s × %d", t, count[t])
		}
	}
	return distinct
}
