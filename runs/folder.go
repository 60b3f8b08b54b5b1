package runs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/internal/atomicfile"
	"github.com/modular-bridging/bridge/plugins/lockfile"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/workspace"
)

// ReportFile is the report in a run folder, and in the folder of a comparison.
const ReportFile = "report.html"

// The files of a run folder beside the recipe, the lock and what package train writes.
const (
	summaryFile = "summary.json"
	resultFile  = "result.json"
	logFile     = "log.txt"
)

// writeRecipe writes the recipe as it was resolved.
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

// sameRecipe refuses to resume a run with settings that change its result. Where and how
// it is kept ([run]) may change, and the limits of the adapters' processes.
func sameRecipe(dir string, r *recipes.Resolved) error {
	path := filepath.Join(dir, recipes.RunFile)
	recorded, err := recipes.Load(path) // its paths are absolute, whatever moved
	if err != nil {
		return err
	}
	differences := recipes.Differences(recorded, &r.Recipe)
	if len(differences) == 0 {
		return nil
	}
	d := differences[0]
	return adapters.Errorf(adapters.Invalid, "the run in %s was started with %s, now it has %s", dir, setting(d.Key, d.Old), setting(d.Key, d.New)).
		WithRemedy("go on with its own recipe, `bridge train %s --out %s --resume`, or start a new run with another --out", path, dir)
}

// setting describes the value of a recipe's key. It is empty if the recipe lacks the key.
func setting(key, value string) string {
	if value == "" {
		return "no " + key
	}
	return key + " = " + value
}

// writeLock records the frozen models that a run uses.
func writeLock(dir string, l lockfile.Lock) error {
	l, err := portableLock(dir, l)
	if err != nil {
		return err
	}
	return lockfile.Write(filepath.Join(dir, lockfile.Name), l)
}

// checkLock returns an error if a run that is resumed uses other frozen models now.
func checkLock(dir string, now lockfile.Lock) error {
	recorded, err := lockfile.Read(filepath.Join(dir, lockfile.Name))
	if err != nil {
		return err
	}
	return recorded.Check(now)
}

// portableLock returns the lock of a run in the working folder with the project's folder
// in it, and with relative paths of plugins in the project.
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

// projectOfRun returns the folder of the project from which a run's recipe names paths.
// It is empty if the recipe's paths are absolute.
func projectOfRun(dir string) (string, error) {
	l, err := lockfile.ReadProject(filepath.Join(dir, lockfile.Name))
	if err != nil || l.Project == "" {
		return "", err
	}
	return filepath.Abs(filepath.Join(dir, filepath.FromSlash(l.Project)))
}

// writeJSON writes v, indented.
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
		return s, errNoRun(dir, "there is no "+summaryFile)
	}
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		return s, fmt.Errorf("read %s: %w", path, err)
	}
	if s.Stage == 0 { // the demo's, which holds two summaries
		return s, errNoRun(dir, summaryFile+" is not of a run")
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

// errNoRun returns the error for a folder that is not a finished run's, with the runs
// that it holds.
func errNoRun(dir, why string) error {
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
