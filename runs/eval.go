package runs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/eval/benchmark"
	"github.com/modular-bridging/bridge/eval/benchmark/page"
	"github.com/modular-bridging/bridge/eval/metrics/jars"
	"github.com/modular-bridging/bridge/eval/tasks"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/workspace"
)

// EvalOptions say which tasks [Evaluate] runs, and how.
type EvalOptions struct {
	Tasks []string // names, aliases, groups, or files NAME.toml
	// Data is the folder in which tasks' files are looked for; see [TaskPlaces].
	Data string
	// Out gets a folder for each task; see [EvalDir].
	Out   string
	Fresh bool // discard earlier answers
	// Limit draws that many samples of each task with Seed; 0 means all.
	Limit int
	Seed  uint64
	Batch int // 0 means benchmark.DefaultBatch
	Open  workspace.OpenOptions
	// Each, if not nil, is called with each result as soon as its task ends.
	Each func(dir string, r *benchmark.Result) error
	// Group, if not nil, is called with the means of each group of tasks whose tasks have all ended.
	Group func(g benchmark.Group) error
}

// TaskLibrary returns the tasks of the binary and those in the folder tasks of the user's configuration.
func TaskLibrary() (*tasks.Library, error) {
	folder := ""
	if dir := registry.ConfigDir(); dir != "" {
		folder = filepath.Join(dir, "tasks")
	}
	return tasks.Load(folder)
}

// TaskPlaces returns the folders in which tasks' files are looked for: data, or else the folder data of the
// working folder and that of bridge's cache. Benchmarks of the kit are written to the cache, or checked there,
// when the first of their files is looked for.
func TaskPlaces(data string) tasks.Places {
	dir := ""
	p := tasks.Places{Data: []string{data}, Kit: func(ctx context.Context, name string) (_ string, err error) {
		if dir == "" {
			if dir, err = kit.ExtractBenchmarks(ctx, workspace.CacheDir()); err != nil {
				return "", err
			}
		}
		return filepath.Join(dir, filepath.FromSlash(name)), nil
	}}
	if data == "" {
		p.Data = []string{"data", filepath.Join(workspace.CacheDir(), "data")}
	}
	return p
}

// EvalDir returns the folder that gets the results of a model's tasks: out, or the folder eval of a run, or
// runs/eval and the model's name.
func EvalDir(out, model string) string {
	if out != "" {
		return out
	}
	if info, err := os.Stat(train.BridgeDir(model)); err == nil && info.IsDir() {
		return filepath.Join(model, "eval")
	}
	name := strings.NewReplacer(":", "-", "/", "-", string(filepath.Separator), "-").Replace(strings.Trim(model, "./"))
	return filepath.Join("runs", "eval", name)
}

// taskDir returns the folder of a task. A drawn part of the samples has a folder of its own.
func taskDir(dir, task string, limit int, seed uint64) string {
	if limit == 0 {
		return filepath.Join(dir, task)
	}
	return filepath.Join(dir, fmt.Sprintf("%s-%d-seed%d", task, limit, seed))
}

// Evaluate runs tasks on a model. model is as for [workspace.Workspace.OpenBridge]. Each task's folder has its
// samples and result; a task that was interrupted continues. The folder of the tasks gets a page with
// figures and samples ([ReportFile]). All files are looked for before the model is
// opened. A task that fails does not stop the others.
func Evaluate(ctx context.Context, w *workspace.Workspace, model string, o EvalOptions) ([]*benchmark.Result, error) {
	library, err := TaskLibrary()
	if err != nil {
		return nil, err
	}
	for _, problem := range library.Problems() {
		w.Log().Warn("a task of your own cannot be used", "error", problem)
	}
	list, files, err := findTasks(ctx, library, o)
	if err != nil {
		return nil, err
	}
	e := &evaluation{workspace: w, model: model, options: o}
	if len(list) > 1 {
		e.encoded = benchmark.NewEncoded(benchmark.DefaultEncodedBytes)
	}
	defer e.close()
	var results []*benchmark.Result
	var failed error
	for i, t := range list {
		r, err := e.run(ctx, t, files[i])
		if err != nil {
			if ctx.Err() != nil {
				return results, err
			}
			failed = errors.Join(failed, err)
			if e.unusable {
				return results, failed
			}
			continue
		}
		results = append(results, r)
	}
	return results, errors.Join(failed, e.groups(library, results))
}

// groups reports the means of the groups that were named.
func (e *evaluation) groups(library *tasks.Library, results []*benchmark.Result) error {
	for _, name := range e.options.Tasks {
		t, err := library.Task(name)
		if err != nil {
			return err
		}
		if g, ok := benchmark.GroupOf(t, results); ok && e.options.Group != nil {
			if err := e.options.Group(g); err != nil {
				return err
			}
		}
	}
	return nil
}

// evaluation runs tasks on one model.
type evaluation struct {
	workspace *workspace.Workspace
	model     string
	options   EvalOptions
	opened    *evaluated // nil before the first task
	unusable  bool       // the model could not be opened
	encoded   *benchmark.Encoded
	page      page.Page // of the tasks so far
}

// evaluated is an open model, its description for results, and the pictures that it was trained on.
type evaluated struct {
	*workspace.Model
	described benchmark.Model
	trained   map[string]bool
}

func (e *evaluation) close() {
	if e.opened != nil {
		e.opened.Close()
	}
}

// CheckTasks returns an error if a task does not exist or a file of it is missing.
func CheckTasks(ctx context.Context, o EvalOptions) error {
	library, err := TaskLibrary()
	if err == nil {
		_, _, err = findTasks(ctx, library, o)
	}
	return err
}

// findTasks returns the tasks, and the files of each.
func findTasks(ctx context.Context, library *tasks.Library, o EvalOptions) ([]*tasks.Task, []tasks.Files, error) {
	list, err := library.Expand(o.Tasks)
	if err != nil {
		return nil, nil, err
	}
	var files []tasks.Files
	var missing error
	places := TaskPlaces(o.Data)
	for _, t := range list {
		f, err := t.Locate(ctx, places)
		if err != nil {
			return nil, nil, err
		}
		files = append(files, f)
		missing = errors.Join(missing, f.Err(t.Name))
	}
	return list, files, missing
}

// run runs one task in its locked folder.
func (e *evaluation) run(ctx context.Context, t *tasks.Task, files tasks.Files) (*benchmark.Result, error) {
	set, err := tasks.Open(t, files)
	if err != nil {
		return nil, err
	}
	defer set.Close()
	m, err := e.open(ctx)
	if err != nil {
		return nil, err
	}
	dir := taskDir(EvalDir(e.options.Out, e.model), t.Name, e.options.Limit, e.options.Seed)
	release, err := LockRunDir(dir)
	if err != nil {
		return nil, err
	}
	defer release()
	bar := e.progress(t)
	defer bar.done()
	r, err := benchmark.Run(ctx, m.Model.Model, set, benchmark.Options{
		Dir: dir, Fresh: e.options.Fresh, Limit: e.options.Limit, Seed: e.options.Seed, Batch: e.options.Batch,
		Model: m.described, Backend: backends.Describe(m.Backend()), Orientation: m.Orientation,
		Jars: CaptionJars(), Trained: m.trained, Encoded: e.encoded, Progress: bar.step, Log: e.workspace.Log(),
	})
	if err != nil {
		return nil, err
	}
	bar.done()
	if err := e.addToPage(r, set, m.Orientation); err != nil {
		return nil, err
	}
	if e.options.Each != nil {
		err = e.options.Each(dir, r)
	}
	return r, err
}

// CaptionJars returns the folder of METEOR, SPICE and the official tokenizer.
func CaptionJars() jars.Folder {
	return jars.Folder(filepath.Join(workspace.CacheDir(), "caption-metrics"))
}

// open opens the model, once.
func (e *evaluation) open(ctx context.Context) (*evaluated, error) {
	if e.opened != nil {
		return e.opened, nil
	}
	m, err := e.workspace.OpenBridge(ctx, e.model, e.options.Open)
	if err != nil {
		e.unusable = true
		return nil, err
	}
	opened := &evaluated{Model: m}
	digest, err := bridge.Digest(m.Dir)
	if err == nil {
		opened.described = benchmark.Describe(e.model, digest, m.Model)
		opened.trained, err = trainedPictures(ctx, e.workspace, m)
	}
	if err != nil {
		e.unusable = true
		m.Close()
		return nil, err
	}
	e.opened = opened
	return opened, nil
}

// bar shows the progress of a task.
type bar struct {
	step func(done, total int)
	done func()
}

// progress returns a bar that begins with the first step. Retrieval counts pieces of work, which have no speed in
// pictures.
func (e *evaluation) progress(t *tasks.Task) bar {
	var task interface {
		Step(done, images int, loss float64)
		Done()
	}
	last, pieces := 0, t.How() == tasks.Retrieves
	return bar{
		step: func(done, total int) {
			if task == nil {
				task = e.workspace.Progress().Start(t.Name, total, done)
			} else if pieces {
				task.Step(done, 0, 0)
			} else {
				task.Step(done, done-last, 0)
			}
			last = done
		},
		done: func() {
			if task != nil {
				task.Done()
				task = nil
			}
		},
	}
}

// trainedPictures returns the digests of the pictures that a bridge was trained on, in its run and in that of
// the stage-1 bridge that it was trained from, as far as the runs recorded them.
func trainedPictures(ctx context.Context, w *workspace.Workspace, m *workspace.Model) (map[string]bool, error) {
	folders := []string{filepath.Dir(m.Dir)}
	if dir, err := w.BridgeDir(ctx, m.Info.Stage1); m.Info.Stage1 != "" && err == nil {
		folders = append(folders, filepath.Dir(dir))
	}
	digests := map[string]bool{}
	for _, folder := range folders {
		was, err := readInventory(folder, trainSplit)
		if err == nil {
			_, err = readSeen(filepath.Join(folder, seenFile), digests)
		}
		if err != nil {
			return nil, err
		}
		if was != nil {
			for _, entry := range was.Entries {
				digests[entry.Bytes] = true
			}
		}
	}
	return digests, nil
}
