package benchmark

import (
	"cmp"
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
	"github.com/modular-bridging/bridge/eval/score"
	"github.com/modular-bridging/bridge/eval/tasks"
	"github.com/modular-bridging/bridge/internal/atomicfile"
)

// revision counts changes of this package that change lines of samples.jsonl.
const revision = 1

// Plan is the content of plan.json: everything that the lines of samples.jsonl depend on.
type Plan struct {
	Revision int      `json:"revision"`
	Task     Task     `json:"task"`
	Model    Model    `json:"model"`
	Data     Data     `json:"data"`
	Subset   Subset   `json:"subset"`
	Settings Settings `json:"settings"`
}

// newPlan returns the plan of a run.
func (r *runner) newPlan() Plan {
	t := r.task
	s := Settings{Prompt: t.Prompt.For(r.kind), Question: t.Prompt.Question, Rank: t.Rank.By, Rerank: t.Retrieve.Rerank, Variant: t.Metric.Variant,
		Batch: r.options.Batch, Backend: r.options.Backend}
	if t.How() == tasks.Generates {
		decode := t.Generate.For(r.kind)
		s.Generate = &decode
	}
	if t.How() == tasks.Retrieves {
		s.Question = t.Retrieve.Caption
	}
	if r.byLanguage() {
		s.Prompt, s.Rank, s.Rerank = *t.Retrieve.Language, tasks.ByGain, nil
	}
	if t.Metric.Name == score.Captions {
		s.Tokenizer = score.TokenizerPTB
	}
	d := Data{Digest: r.set.Digest()}
	for _, w := range r.set.Files.Wanted {
		d.Files = append(d.Files, File{Role: w.Role, Path: w.Path})
	}
	return Plan{Revision: revision, Data: d, Settings: s, Model: r.options.Model,
		Task:   Task{Name: t.Name, Title: t.Title, Version: t.Version, Digest: t.Digest(), Metric: t.Metric.Name, How: string(t.How())},
		Subset: Subset{N: len(r.samples), Of: r.set.Len(), Seed: r.options.Seed}}
}

// differences returns what differs between a plan and an earlier one, a few words each. It compares
// digests, not names and paths.
func (p Plan) differences(was Plan) []string {
	var out []string
	differs := func(what, was, now string) {
		if was != now {
			out = append(out, fmt.Sprintf("%s (was %s, is %s)", what, was, now))
		}
	}
	differs("the version of bridge", fmt.Sprint(was.Revision), fmt.Sprint(p.Revision))
	differs("the task's file", short(was.Task.Digest), short(p.Task.Digest))
	differs("the bridge", short(was.Model.Bridge), short(p.Model.Bridge))
	differs("the vision encoder", was.Model.Vision.identity(), p.Model.Vision.identity())
	differs("the language model", was.Model.Language.identity(), p.Model.Language.identity())
	differs("the data", short(was.Data.Digest), short(p.Data.Digest))
	differs("the subset", was.Subset.String(), p.Subset.String())
	differs("the prompt", fmt.Sprintf("%q", was.Settings.Prompt), fmt.Sprintf("%q", p.Settings.Prompt))
	before, now := was.Settings.byName(), p.Settings.byName()
	for _, name := range slices.Sorted(maps.Keys(settingNames(before, now))) {
		differs("the setting "+name, orNone(before[name]), orNone(now[name]))
	}
	return out
}

// settingNames returns the names that any of some settings have.
func settingNames(of ...map[string]json.RawMessage) map[string]json.RawMessage {
	all := map[string]json.RawMessage{}
	for _, s := range of {
		maps.Copy(all, s)
	}
	return all
}

// orNone returns the text of a setting.
func orNone(value json.RawMessage) string { return cmp.Or(string(value), "none") }

// identity names a frozen model by what its outputs depend on.
func (s *Side) identity() string {
	if s == nil {
		return "none"
	}
	text := strings.TrimSpace(fmt.Sprint(s.ID, " ", short(s.Digest), " ", s.DType))
	if len(s.Picture) > 0 {
		text += fmt.Sprint(" ", s.Picture)
	}
	return text
}

// String returns the subset in words.
func (s Subset) String() string {
	if s.All() {
		return fmt.Sprintf("all %d samples", s.Of)
	}
	return fmt.Sprintf("%d of %d samples, seed %d", s.N, s.Of, s.Seed)
}

// byName returns the settings but the prompt as JSON, those of generation by their own names.
func (s Settings) byName() map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for _, part := range []any{s, s.Generate} {
		text, err := json.Marshal(part)
		if err == nil {
			err = json.Unmarshal(text, &out)
		}
		if err != nil {
			panic("benchmark: settings that cannot be JSON: " + err.Error())
		}
	}
	delete(out, "prompt")
	delete(out, "generate")
	return out
}

// short returns the start of a digest, for people.
func short(digest string) string {
	const most = len("sha256:") + 12
	return digest[:min(len(digest), most)]
}

// enter makes the folder ready for a plan: it writes the plan, or compares it with the one that is there.
// fresh discards what is there.
func (p Plan) enter(dir string, fresh bool) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	if fresh {
		if err := discard(dir); err != nil {
			return err
		}
	}
	path := filepath.Join(dir, PlanFile)
	var was Plan
	err := readJSON(path, &was)
	if errors.Is(err, fs.ErrNotExist) {
		if found, err := os.Stat(filepath.Join(dir, SamplesFile)); err == nil && found.Size() > 0 {
			return adapters.Errorf(adapters.Corrupt, "%s has %s but not %s, so nobody knows which model gave the answers", dir, SamplesFile, PlanFile).
				WithRemedy("--out DIR writes to another folder, --fresh discards the answers")
		}
		return writeJSON(path, p)
	}
	if err != nil {
		return err
	}
	if found := p.differences(was); len(found) > 0 {
		return adapters.Errorf(adapters.Invalid, "%s holds answers of another run; it differs in %s", dir, strings.Join(found, ", ")).
			WithRemedy("--out DIR writes to another folder, --fresh discards the answers")
	}
	return nil
}

// discard deletes the files of an earlier run, the plan last.
func discard(dir string) error {
	if err := os.RemoveAll(filepath.Join(dir, piecesFolder)); err != nil {
		return err
	}
	for _, name := range []string{ResultFile, UploadFile, SamplesFile, PlanFile} {
		if err := atomicfile.Remove(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}
