package benchmark

import (
	"slices"

	"github.com/modular-bridging/bridge/eval/tasks"
)

// Group is the mean of figures over the tasks of a group, such as that of POPE's three.
type Group struct {
	Name    string      `json:"group"`
	Title   string      `json:"title"`
	Tasks   []string    `json:"tasks"`
	Figures []GroupMean `json:"figures"`
}

// GroupMean is the mean of a figure.
type GroupMean struct {
	Key     string `json:"key"`
	Title   string `json:"title"`
	Percent bool   `json:"percent"`
	Mean    Number `json:"mean"`
}

// Text returns the mean as its figure is shown.
func (g GroupMean) Text() string { return Figure{Percent: g.Percent}.Text(float64(g.Mean)) }

// GroupOf returns the means of a group's figures. ok is false if the group has none, or if a result of its
// tasks is missing.
func GroupOf(t *tasks.Task, results []*Result) (g Group, ok bool) {
	g = Group{Name: t.Name, Title: t.Title, Tasks: t.Tasks}
	for _, key := range t.Mean {
		m := GroupMean{Key: key}
		for _, name := range t.Tasks {
			i := slices.IndexFunc(results, func(r *Result) bool { return r.Task.Name == name })
			if i < 0 {
				return g, false
			}
			f, found := results[i].Figure(key)
			if !found {
				return g, false
			}
			m.Title, m.Percent, m.Mean = f.Title, f.Percent, m.Mean+f.Value/Number(len(t.Tasks))
		}
		g.Figures = append(g.Figures, m)
	}
	return g, len(g.Figures) > 0
}

// Figure returns a figure of all samples by its key.
func (out *Result) Figure(key string) (Figure, bool) {
	i := out.figureIndex(key)
	if i < 0 {
		return Figure{}, false
	}
	return out.Figures[i], true
}

// figureIndex returns the number of a figure of all samples; -1 if there is none.
func (out *Result) figureIndex(key string) int {
	return slices.IndexFunc(out.Figures, func(f Figure) bool { return f.Key == key && f.By == "" })
}
