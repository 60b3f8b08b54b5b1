package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/internal/atomicfile"
	"github.com/modular-bridging/bridge/plugins/lockfile"
	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/train"
)

// The files of a run folder beside what package train writes.
const (
	recipeFile  = "recipe.toml" // as resolved
	summaryFile = "summary.json"
	resultFile  = "result.json"
	reportFile  = "report.html"
	logFile     = "log.txt"
)

// summary is a run in one line: what `bridge compare` reads.
type summary struct {
	Name       string   `json:"name"`
	Stage      int      `json:"stage"`
	Encoder    string   `json:"encoder"`
	LLM        string   `json:"llm,omitempty"`
	Trainable  int      `json:"trainable_parameters"`
	Frozen     int64    `json:"frozen_parameters,omitempty"`
	Memory     int64    `json:"memory_bytes,omitempty"` // an estimate: the frozen weights, and of what is trained weights, gradients and two moments
	Steps      int      `json:"steps"`
	Seconds    float64  `json:"seconds"` // of training, the start of the projection included
	HeldOut    *float64 `json:"held_out_loss,omitempty"`
	ExactMatch *float64 `json:"exact_match,omitempty"`
	Captions   int      `json:"captions,omitempty"` // that the exact match is of
	HeldOutOn  string   `json:"held_out_data,omitempty"`
	CIDErD     *float64 `json:"cider_d,omitempty"`
	RetrievalT *float64 `json:"text_r1,omitempty"`
	RetrievalI *float64 `json:"image_r1,omitempty"`
	RerankedT  *float64 `json:"text_r1_reranked,omitempty"` // after ITM; stage 1
	RerankedI  *float64 `json:"image_r1_reranked,omitempty"`

	Grounding *eval.Grounding      `json:"grounding,omitempty"`
	ByKind    map[string]eval.Rate `json:"exact_match_by_kind,omitempty"` // of what is shown
	Answers   map[string]eval.Rate `json:"answers,omitempty"`             // by kind of question
}

// writeRecipe keeps the recipe as it was resolved.
func writeRecipe(dir string, r *recipes.Resolved) error {
	project, err := projectOfRun(dir)
	if err != nil {
		return err
	}
	text, err := r.Portable(project).Encode()
	if err != nil {
		return err
	}
	return atomicfile.WriteBytes(filepath.Join(dir, recipeFile), text)
}

// sameRecipe refuses to resume a run with other settings than it was begun with.
// Where and how it is kept ([run]) may change, and what limits the adapters' processes.
func sameRecipe(dir string, r *recipes.Resolved) error {
	path := filepath.Join(dir, recipeFile)
	recorded, err := recipes.Load(path) // its paths are absolute, whatever moved
	if err != nil {
		return err
	}
	old, err := recorded.Encode()
	if err != nil {
		return err
	}
	now, err := r.Encode()
	if err != nil {
		return err
	}
	was, is := settings(string(old)), settings(string(now))
	for _, key := range slices.Sorted(maps.Keys(merged(was, is))) {
		if was[key] != is[key] {
			return adapters.Errorf(adapters.Invalid, "the run in %s was started with %s, now it has %s", dir, setting(key, was), setting(key, is)).
				WithRemedy("go on with its own recipe, `bridge train %s --out %s --resume`, or start a new run with another --out", path, dir)
		}
	}
	return nil
}

// settings are the lines of an encoded recipe by key, those aside that change no result.
func settings(text string) map[string]string {
	all, table := map[string]string{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "["); ok {
			table = strings.TrimSuffix(name, "]") + "."
		}
		if key, value, ok := strings.Cut(line, " = "); ok && !recipes.KeepsResults(table+key) && !strings.HasPrefix(line, "#") {
			all[table+key] = value
		}
	}
	return all
}

func setting(key string, of map[string]string) string {
	if value, ok := of[key]; ok {
		return key + " = " + value
	}
	return "no " + key
}

func merged(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// lock writes what the run uses or, where the run is resumed, checks that it
// uses the same.
func lock(dir string, now lockfile.Lock, resume bool) error {
	path := filepath.Join(dir, lockfile.Name)
	if !resume {
		now, err := portable(dir, now)
		if err != nil {
			return err
		}
		return lockfile.Write(path, now)
	}
	was, err := lockfile.Read(path)
	if err != nil {
		return err
	}
	return was.Check(now)
}

// portable notes in a run's lock which project the run is of, if it lies in the
// working folder, and names the plugins that lie there from there.
func portable(dir string, l lockfile.Lock) (lockfile.Lock, error) {
	run, err := filepath.Abs(dir)
	project := projectFolder()
	if err != nil || project == "" || !bridge.Inside(project, run) {
		return l, err
	}
	back, err := filepath.Rel(run, project)
	if err != nil {
		return l, err
	}
	l.Project, l.ProjectWas = filepath.ToSlash(back), project
	if l.Language != nil {
		language := *l.Language
		l.Language = &language
	}
	for _, e := range []*lockfile.Entry{&l.Vision, l.Language} {
		if e == nil || !filepath.IsAbs(e.Plugin) || !bridge.Inside(project, e.Plugin) {
			continue
		}
		if e.Plugin, err = filepath.Rel(project, e.Plugin); err != nil {
			return l, err
		}
		e.Plugin = filepath.ToSlash(e.Plugin)
	}
	return l, nil
}

// projectOfRun is the folder of the project that a run's recipe names paths from;
// empty where it names them in full.
func projectOfRun(dir string) (string, error) {
	l, err := lockfile.ReadProject(filepath.Join(dir, lockfile.Name))
	if err != nil || l.Project == "" {
		return "", err
	}
	return filepath.Abs(filepath.Join(dir, filepath.FromSlash(l.Project)))
}

// writeJSON writes v for people and programs.
func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return atomicfile.WriteBytes(path, append(data, '\n'))
}

// readSummary reads a finished run's.
func readSummary(run string) (s summary, err error) {
	path := filepath.Join(run, summaryFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, noRun(run, "there is no "+summaryFile)
	}
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		return s, fmt.Errorf("read %s: %w", path, err)
	}
	if s.Stage == 0 { // of a demo, which sums up its arms
		return s, noRun(run, summaryFile+" is not of a run")
	}
	return s, nil
}

// noRun says that a folder is not a finished run's, and which runs lie in it.
func noRun(dir, why string) error {
	err := adapters.Errorf(adapters.NotFound, "%s is no finished run: %s", dir, why)
	inside, globErr := filepath.Glob(filepath.Join(dir, "*", resultFile))
	if globErr != nil || len(inside) == 0 {
		return err.WithRemedy("name the folder of a run that `bridge train` or `bridge retrain` has finished")
	}
	for i := range inside {
		inside[i] = filepath.Dir(inside[i])
	}
	return err.WithRemedy("it holds runs, name them: %s", strings.Join(inside, " "))
}

// figure returns a metric's value, or nil if it was not measured.
func figure(s train.Scores, name string) *float64 {
	if v, ok := s.Value(name); ok {
		return &v
	}
	return nil
}

// summarize puts a result into a line.
func (b *bench) summarize(r *recipes.Resolved, trained *bridge.Bridge, result train.Result) summary {
	s := summary{Name: r.Name, Stage: r.Stage, Encoder: r.VisionModel.ID, Steps: result.Steps,
		Trainable: qformer.Count(trained.Config().Parameters(trained.Stage())),
		Seconds:   result.Seconds, ExactMatch: figure(result.Final, eval.MetricExactMatch), Captions: result.Final.Captions,
		HeldOutOn: b.held.Data.Name() + " " + b.held.Data.Digest()[:8], CIDErD: figure(result.Final, eval.MetricCIDErD), Grounding: result.Final.Grounding, ByKind: result.Final.ByKind, Answers: result.Answers}
	s.Frozen, s.Memory = b.vision.Spec().Parameters, b.vision.Spec().MemoryBytes+16*int64(s.Trainable)
	if r.LanguageModel != nil {
		s.LLM = r.LanguageModel.ID
		s.Frozen += b.language.Spec().Parameters
		s.Memory += b.language.Spec().MemoryBytes
	}
	s.HeldOut = figure(result.Final, eval.MetricLoss)
	if m := trained.Info.Retrieval; m != nil {
		s.RetrievalT, s.RetrievalI = &m.TextR1, &m.ImageR1
	}
	if m := result.Final.Retrieval; m != nil && m.Reranked > 0 {
		s.RerankedT, s.RerankedI = &m.TextR1Reranked, &m.ImageR1Reranked
	}
	return s
}
