package tasks

import (
	"context"
	"fmt"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// Shown describes a task for people and as JSON.
type Shown struct {
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	Aliases []string `json:"aliases,omitempty"`
	Tasks   []string `json:"tasks,omitempty"` // of a group
	Version int      `json:"version,omitempty"`
	Digest  string   `json:"digest"`
	Format  string   `json:"format,omitempty"`
	Expect  int      `json:"expect,omitempty"` // samples
	How     How      `json:"how,omitempty"`
	Files
	Metric     string       `json:"metric,omitempty"`
	Variant    string       `json:"variant,omitempty"`
	By         []string     `json:"by,omitempty"`
	Processor  string       `json:"question_processor,omitempty"`
	Settings   []KindShown  `json:"settings,omitempty"` // by kind of language model
	Candidates []string     `json:"candidates,omitempty"`
	RankBy     string       `json:"rank,omitempty"`
	Rerank     *int         `json:"rerank,omitempty"`
	Language   *string      `json:"language,omitempty"` // prompt of retrieval by the language model
	TextTokens int          `json:"text_tokens,omitempty"`
	Paper      []PaperShown `json:"paper,omitempty"`
	Notes      []string     `json:"notes,omitempty"`
}

// KindShown has the prompt and the settings of generation for a kind of language model.
type KindShown struct {
	Kind     string  `json:"kind"`
	Prompt   string  `json:"prompt"`
	Generate *Decode `json:"generate,omitempty"` // nil unless the task generates
}

// PaperShown is a published figure.
type PaperShown struct {
	Model   string  `json:"model"`
	Figure  string  `json:"figure"`
	Value   float64 `json:"value"`
	Source  string  `json:"source"`
	Differs string  `json:"differs,omitempty"`
}

// Show describes the task, and says where its files are.
func (t *Task) Show(ctx context.Context, p Places) (Shown, error) {
	s := Shown{Name: t.Name, Title: t.Title, Aliases: t.Aliases, Tasks: t.Tasks, Version: t.Version, Digest: t.digest, Notes: t.Notes}
	if t.IsGroup() {
		return s, nil
	}
	s.Format, s.Expect, s.How = t.Data.Format, t.Data.Expect, t.How()
	s.Metric, s.Variant, s.By = t.Metric.Name, t.Metric.Variant, t.Metric.By
	switch s.How {
	case Retrieves:
		s.Rerank, s.TextTokens, s.Processor, s.Language = t.Retrieve.Rerank, t.Retrieve.TextTokens, t.Retrieve.Caption, t.Retrieve.Language
	default:
		s.Processor, s.RankBy, s.Candidates = t.Prompt.Question, t.Rank.By, t.Rank.Candidates
		for _, kind := range []Architecture{adapters.EncoderDecoder, adapters.DecoderOnly} {
			k := KindShown{Kind: string(kind), Prompt: t.Prompt.For(kind)}
			if s.How == Generates {
				decode := t.Generate.For(kind)
				k.Generate = &decode
			}
			s.Settings = append(s.Settings, k)
		}
	}
	for _, v := range t.Paper {
		model, _ := PublishedModel(v.Model) // checked when the task was read
		s.Paper = append(s.Paper, PaperShown{model.Title, strings.TrimSpace(v.FigureKey() + " " + v.Group), v.Value, v.Source, v.Differs})
	}
	var err error
	s.Files, err = t.Locate(ctx, p)
	return s, err
}

// FigureKey returns the key of the figure that the value is of.
func (v PaperValue) FigureKey() string {
	if v.Figure == "" {
		return "value"
	}
	return v.Figure
}

// ListHeader returns the headings of [Shown.Row].
func ListHeader() []string { return []string{"task", "title", "samples", "how", "files"} }

// Row returns the task as a row of a list.
func (s Shown) Row() []string {
	if len(s.Tasks) > 0 {
		return []string{s.Name, s.Title, "", "", "group: " + strings.Join(s.Tasks, ", ")}
	}
	samples, files := "", "ready"
	if s.Expect > 0 {
		samples = fmt.Sprint(s.Expect)
	}
	if missing := s.Missing(); len(missing) > 0 {
		var roles []string
		for _, w := range missing {
			roles = append(roles, w.Role)
		}
		files = "missing: " + strings.Join(roles, ", ")
	}
	return []string{s.Name, s.Title, samples, string(s.How), files}
}

// Lines describes the task.
func (s Shown) Lines() []string {
	var lines []string
	line := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	line("%s: %s", s.Name, s.Title)
	if len(s.Aliases) > 0 {
		line("also called %s", strings.Join(s.Aliases, ", "))
	}
	if len(s.Tasks) > 0 {
		line("a group of %s", strings.Join(s.Tasks, ", "))
		return lines
	}
	if s.Expect > 0 {
		line("%d samples", s.Expect)
	}
	line("")
	line("files (format %s), looked for in %s", s.Format, strings.Join(s.Searched, ", "))
	for _, w := range s.Wanted {
		if w.Missing() {
			line("  %s: missing, want %s", w.Role, strings.Join(w.Names, " or "))
		} else {
			line("  %s: %s", w.Role, w.Path)
		}
	}
	s.answers(line)
	metric := s.Metric
	if s.Variant != "" {
		metric += ", variant " + s.Variant
	}
	if len(s.By) > 0 {
		metric += ", by " + strings.Join(s.By, ", ")
	}
	line("")
	line("metric: %s", metric)
	if len(s.Paper) > 0 {
		line("")
		line("published")
		for _, v := range s.Paper {
			note := ""
			if v.Differs != "" {
				note = "; " + v.Differs
			}
			line("  %s: %s %g (%s%s)", v.Model, v.Figure, v.Value, v.Source, note)
		}
	}
	for _, note := range s.Notes {
		line("")
		line("%s", note)
	}
	return lines
}

// answers describes how answers come about.
func (s Shown) answers(line func(format string, args ...any)) {
	switch s.How {
	case Retrieves:
		line("")
		line("retrieval by ITC; ITM ranks %d candidates again; captions by %s, cut at %d tokens", *s.Rerank, s.Processor, s.TextTokens)
		if s.Language != nil {
			line("a bridge without a text side: by how much the picture adds to the caption's log-probability behind %q", *s.Language)
		}
		return
	case Ranks:
		of := "of each sample's own candidates"
		if len(s.Candidates) > 0 {
			of = "of " + strings.Join(s.Candidates, ", ")
		}
		line("")
		line("the best %s by %s; questions by %s", of, s.RankBy, s.Processor)
	default:
		line("")
		line("a generated text; questions by %s", s.Processor)
	}
	for _, k := range s.Settings {
		line("  %s: prompt %q", k.Kind, k.Prompt)
		if k.Generate != nil {
			line("    %s", k.Generate.Text())
		}
	}
}

// Text returns the settings in a line.
func (d Decode) Text() string {
	var parts []string
	add := func(name string, v any, ok bool) {
		if ok {
			parts = append(parts, fmt.Sprintf("%s %v", name, v))
		}
	}
	add("beams", value(d.Beams), d.Beams != nil)
	add("max_new_tokens", value(d.MaxNewTokens), d.MaxNewTokens != nil)
	add("min_new_tokens", value(d.MinNewTokens), d.MinNewTokens != nil)
	add("length_penalty", value(d.LengthPenalty), d.LengthPenalty != nil)
	add("repetition_penalty", value(d.RepetitionPenalty), d.RepetitionPenalty != nil)
	return strings.Join(parts, ", ")
}
