package runs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/atomicfile"
	"github.com/modular-bridging/bridge/internal/shell"
	"github.com/modular-bridging/bridge/plugins/lockfile"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/workspace"
)

// ReportFile is the name of the report in a run folder, and in the folder of a comparison.
const ReportFile = "report.html"

// The names of further files in a run folder. Package train writes others.
const (
	summaryFile = "summary.json"
	resultFile  = "result.json"
	logFile     = "log.txt"
)

// writeRecipe writes the resolved recipe.
func writeRecipe(dir string, r *recipes.Resolved) error {
	project, err := projectOfRun(dir)
	if err != nil {
		return err
	}
	text, err := r.Portable(project).Encode()
	if err != nil {
		return err
	}
	return atomicfile.WriteBytes(filepath.Join(dir, recipes.RunFile), text)
}

// asStarted returns the recipe that a run was started with, if that is the other one of a swap whose
// default is words: words were not possible, or an older version of bridge had another default.
func asStarted(w *workspace.Workspace, dir string, r *recipes.Resolved) *recipes.Resolved {
	if r.Otherwise != nil && sameRecipe(w, dir, r) != nil && sameRecipe(w, dir, r.Otherwise) == nil {
		return r.Otherwise
	}
	return r
}

// sameRecipe returns an error if a resumed run has other settings that change its result. The
// table [run] and the limits of the adapters' processes may differ. The paths of r's data are
// current.
func sameRecipe(w *workspace.Workspace, dir string, r *recipes.Resolved) error {
	path := filepath.Join(dir, recipes.RunFile)
	recorded, err := recipes.Load(path) // with absolute paths, even if the project moved
	if err != nil {
		return err
	}
	recorded = &WithMovedData(w, &recipes.Resolved{Recipe: *recorded}).Recipe
	differences := recipes.Differences(recorded, &r.Recipe)
	if len(differences) == 0 {
		return nil
	}
	d := differences[0]
	return adapters.Errorf(adapters.Invalid, "the run in %s was started with %s, now it has %s",
		dir, setting(d.Key, d.Old), setting(d.Key, d.New)).
		WithRemedy("continue it with its own recipe, `%s`, or start a new run with another --out", resumeCommand(dir))
}

// WithMovedData returns a recipe with the current paths of its data, as a run uses and records
// them: see [workspace.Options.Relocations].
func WithMovedData(w *workspace.Workspace, r *recipes.Resolved) *recipes.Resolved {
	c := *r
	c.Data = r.Data.WithPaths(w.Moved)
	if c.Projection.List != "" {
		c.Projection.List = w.Moved(c.Projection.List)
	}
	if r.Otherwise != nil {
		c.Otherwise = WithMovedData(w, r.Otherwise)
	}
	return &c
}

// resumeCommand returns the command that continues the run in a folder.
func resumeCommand(dir string) string {
	recipe := filepath.Join(dir, recipes.RunFile)
	return shell.Command("bridge", "train", shell.Operand(recipe), "--out", shell.Operand(dir), "--resume")
}

// setting describes the value of a recipe's key. value is empty if the recipe does not have
// the key.
func setting(key, value string) string {
	if value == "" {
		return "no " + key
	}
	return key + " = " + value
}

// writeLock writes the lock of a run's frozen models.
func writeLock(dir string, l lockfile.Lock) error {
	l, err := portableLock(dir, l)
	if err != nil {
		return err
	}
	return lockfile.Write(filepath.Join(dir, lockfile.Name), l)
}

// checkLock returns an error if a resumed run has other frozen models than before, or would start
// again from other weights.
func checkLock(dir string, now lockfile.Lock) error {
	recorded, err := lockfile.Read(filepath.Join(dir, lockfile.Name))
	if err != nil {
		return err
	}
	if err := recorded.Check(now); err != nil || hasCheckpoint(dir) {
		return err
	}
	return recorded.CheckStart(now)
}

// portableLock returns a lock that stays valid if the working folder is moved: it records the
// project's folder, and paths of plugins inside the project are relative.
func portableLock(dir string, l lockfile.Lock) (lockfile.Lock, error) {
	run, err := filepath.Abs(dir)
	project := workspace.ProjectDir()
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

// projectOfRun returns the project folder that the paths in a run's recipe are relative to. It
// is empty if the paths are absolute.
func projectOfRun(dir string) (string, error) {
	l, err := lockfile.ReadProject(filepath.Join(dir, lockfile.Name))
	if err != nil || l.Project == "" {
		return "", err
	}
	return filepath.Abs(filepath.Join(dir, filepath.FromSlash(l.Project)))
}

// writeJSON writes v as indented JSON.
func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return atomicfile.WriteBytes(path, append(data, '\n'))
}

// ReadSummary reads the summary of a finished run.
func ReadSummary(dir string) (s Summary, err error) {
	path := filepath.Join(dir, summaryFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, errNoRun(dir, summaryFile+" is missing")
	}
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		return s, fmt.Errorf("read %s: %w", path, err)
	}
	if s.Stage == 0 { // the demo's file has two summaries
		return s, errNoRun(dir, summaryFile+" is not the summary of a run")
	}
	return s, nil
}

// ReadResult reads the result of a finished run.
func ReadResult(dir string) (r train.Result, err error) {
	data, err := os.ReadFile(filepath.Join(dir, resultFile))
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		return r, fmt.Errorf("read the result of %s: %w", dir, err)
	}
	return r, nil
}

// errNoRun returns the error for a folder that is not the folder of a finished run. The error
// lists the runs in the folder.
func errNoRun(dir, why string) error {
	err := adapters.Errorf(adapters.NotFound, "%s is not the folder of a finished run: %s", dir, why)
	inside, globErr := filepath.Glob(filepath.Join(dir, "*", resultFile))
	if globErr != nil || len(inside) == 0 {
		return err.WithRemedy("name the folder of a run that `bridge train` or `bridge retrain` finished")
	}
	for i := range inside {
		inside[i] = shell.Operand(filepath.Dir(inside[i]))
	}
	return err.WithRemedy("name the runs in it: %s", shell.Command(inside...))
}
