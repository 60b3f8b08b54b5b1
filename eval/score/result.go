package score

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/modular-bridging/bridge/eval/metrics/resample"
)

// Figure is a number of a result, with the samples that it was computed from.
type Figure struct {
	Key     string // in JSON: "value", "bleu_4"
	Title   string // for people: "VQA accuracy"
	Percent bool   // the number is a percentage
	Better  string // "lower" if lower is better
	// By and Name are the kind and the name of the group of questions, such as "answer_type" and
	// "number"; empty for figures of all questions.
	By, Name string

	sample resample.Figure
	value  float64 // exact; NaN if there are no samples
}

// Value returns the figure; NaN if it is of no questions.
func (f Figure) Value() float64 { return f.value }

// N returns the number of questions or captions that the figure is of.
func (f Figure) N() int { return f.sample.N() }

// Interval returns the 95 % bootstrap interval.
func (f Figure) Interval() resample.Interval { return f.sample.Interval() }

// Spread returns the 95 % interval and the standard error, both by the bootstrap.
func (f Figure) Spread() (i resample.Interval, standardError float64) { return f.sample.Spread() }

// Setting is a choice that changes figures, such as the variant of a metric.
type Setting struct{ Key, Value string }

// Result is the score of a file of predictions.
type Result struct {
	Task     string
	Settings []Setting
	N        int // questions or captions
	Figures  []Figure
	Counts   Counts
	// NotComputed says why a figure is not there, by its key.
	NotComputed map[string]string
	// Against is set by [Result.Compare].
	Against *Against
}

// Against compares a result with that of other predictions.
type Against struct {
	Path        string
	Result      *Result
	Comparisons map[string]resample.Comparison // by key of figures of all questions
}

// Compare scores the difference to other predictions of the same questions: this result less the
// other, with the interval and the p-value of the paired bootstrap.
func (r *Result) Compare(path string, other *Result) {
	a := &Against{Path: path, Result: other, Comparisons: map[string]resample.Comparison{}}
	for _, f := range r.Figures {
		i := slices.IndexFunc(other.Figures, func(o Figure) bool { return o.Key == f.Key && o.By == "" })
		if f.By == "" && i >= 0 && f.N() == other.Figures[i].N() && f.N() > 0 {
			a.Comparisons[f.Key] = resample.Compare(f.sample, other.Figures[i].sample)
		}
	}
	r.Against = a
}

// noteUncompared notes figures of all questions that only one of two compared files has, or that
// they have for different numbers of samples.
func (r *Result) noteUncompared(path string) {
	noted := map[string]bool{}
	for _, f := range slices.Concat(r.Figures, r.Against.Result.Figures) {
		if _, ok := r.Against.Comparisons[f.Key]; !ok && f.By == "" && !noted[f.Key] {
			noted[f.Key] = true
			r.Counts.Notes = append(r.Counts.Notes, fmt.Sprintf("%s is not compared: %s and %s do not have it for the same samples", f.Title, path, r.Against.Path))
		}
	}
}

// mean returns the figure that is the mean of values.
func mean(key, title string, values []float64) Figure {
	f := resample.Mean(values)
	return Figure{Key: key, Title: title, sample: f, value: f.Value()}
}

// percent returns the figure that is the mean of values of 0 to 1, in percent.
func percent(key, title string, values []float64) Figure {
	hundred := make([]float64, len(values))
	for i, v := range values {
		hundred[i] = 100 * v
	}
	f := mean(key, title, hundred)
	f.Percent = true
	return f
}

// figure returns a figure of n samples that of computes.
func figure(key, title string, n int, of func(rows []int) float64) Figure {
	f := resample.Of(n, of)
	return Figure{Key: key, Title: title, sample: f, value: f.Value()}
}

// groups returns a figure of the mean in percent for each distinct name, by name. Samples without
// a name are left out.
func groups(key, title, by string, names []string, values []float64) []Figure {
	rows := map[string][]float64{}
	for i, name := range names {
		if name != "" {
			rows[name] = append(rows[name], values[i])
		}
	}
	var out []Figure
	for name, values := range rows {
		f := percent(key, title, values)
		f.By, f.Name = by, name
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b Figure) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// number is a number of JSON; null stands for NaN.
type number float64

// MarshalJSON implements [json.Marshaler].
func (n number) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(n)) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

func pair(i resample.Interval) [2]number { return [2]number{number(i.Low), number(i.High)} }

// groupJSON is a figure of a group of questions.
type groupJSON struct {
	Value    number    `json:"value"`
	N        int       `json:"n"`
	Interval [2]number `json:"interval"`
}

// againstJSON is the comparison of a figure.
type againstJSON struct {
	Value      number    `json:"value"` // of the other predictions
	Difference number    `json:"difference"`
	Interval   [2]number `json:"interval"`
	P          number    `json:"p"`
}

// MarshalJSON writes the result as one object: the task and its settings; each figure by its key;
// n; "intervals" by key; "by_…" with the figures of groups; the counts of [Counts].
func (r *Result) MarshalJSON() ([]byte, error) {
	var o object
	o.add("task", r.Task)
	for _, s := range r.Settings {
		o.add(s.Key, s.Value)
	}
	var intervals object
	for _, f := range r.Figures {
		if f.By == "" {
			o.add(f.Key, number(f.Value()))
			intervals.add(f.Key, pair(f.Interval()))
		}
	}
	o.add("n", r.N)
	o.add("intervals", &intervals)
	r.addGroups(&o)
	o.add("missing", r.Counts.Missing)
	o.add("extra", r.Counts.Extra)
	o.add("duplicates", r.Counts.Duplicates)
	if len(r.NotComputed) > 0 {
		o.add("not_computed", r.NotComputed)
	}
	if r.Against != nil {
		o.add("against", r.Against.json(r.Figures))
	}
	return o.MarshalJSON()
}

// addGroups adds the figures of groups. If a kind of groups has figures of several keys, the key
// is part of the name.
func (r *Result) addGroups(o *object) {
	kinds := map[string]*object{}
	var order []string
	for _, f := range r.Figures {
		if f.By == "" {
			continue
		}
		if kinds[f.By] == nil {
			kinds[f.By] = &object{}
			order = append(order, f.By)
		}
		kinds[f.By].add(f.Name, groupJSON{number(f.Value()), f.N(), pair(f.Interval())})
	}
	for _, by := range order {
		o.add("by_"+by, kinds[by])
	}
}

func (a *Against) json(figures []Figure) *object {
	var o object
	o.add("file", a.Path)
	for _, f := range figures {
		c, ok := a.Comparisons[f.Key]
		i := slices.IndexFunc(a.Result.Figures, func(o Figure) bool { return o.Key == f.Key && o.By == "" })
		if f.By == "" && ok && i >= 0 {
			o.add(f.Key, againstJSON{number(a.Result.Figures[i].Value()), number(c.Difference), pair(c.Interval), number(c.P)})
		}
	}
	return &o
}

// object is a JSON object in the order in which keys were added.
type object struct {
	text bytes.Buffer
	err  error
}

// add adds a member.
func (o *object) add(key string, value any) {
	name, err := json.Marshal(key)
	text, err2 := json.Marshal(value)
	if o.err = cmp.Or(o.err, err, err2); o.err != nil {
		return
	}
	if o.text.Len() > 0 {
		o.text.WriteByte(',')
	}
	fmt.Fprintf(&o.text, "%s:%s", name, text)
}

// MarshalJSON implements [json.Marshaler].
func (o *object) MarshalJSON() ([]byte, error) {
	if o.err != nil {
		return nil, o.err
	}
	return []byte("{" + o.text.String() + "}"), nil
}

// FigureText returns a number of a figure as people read it, such as "53.11 %".
func FigureText(value float64, percent bool) string {
	switch {
	case math.IsNaN(value) || math.IsInf(value, 0):
		return "–"
	case percent:
		return fmt.Sprintf("%.2f %%", value)
	case math.Abs(value) >= 100: // points of MME
		return fmt.Sprintf("%.1f", value)
	}
	return fmt.Sprintf("%.4f", value)
}
