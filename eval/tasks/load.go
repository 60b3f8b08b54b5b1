package tasks

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/didyoumean"
	"github.com/modular-bridging/bridge/internal/stricttoml"
)

//go:embed *.toml
var shipped embed.FS

// Shipped returns the names of the tasks in the binary, sorted.
func Shipped() []string { return namesIn(shipped) }

// namesIn returns the names of the TOML files in a folder.
func namesIn(folder fs.FS) []string {
	files, err := fs.Glob(folder, "*.toml")
	if err != nil {
		panic("tasks: the pattern is damaged: " + err.Error())
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(f, ".toml")
	}
	slices.Sort(files)
	return files
}

// Library is the tasks of the binary and those of the user's folder.
type Library struct {
	tasks  map[string]*Task
	names  map[string]string // the name of a task, by name and alias
	broken map[string]error  // why a file of the user's folder cannot be used, by its name
}

// Load reads all tasks: those of the binary, and the files NAME.toml of a folder, which may be missing
// or empty. A task of the folder replaces one of the same name. A file of the folder that cannot be used
// does not stop the others: see [Library.Problems].
func Load(folder string) (*Library, error) {
	l := &Library{tasks: map[string]*Task{}, names: map[string]string{}, broken: map[string]error{}}
	for _, name := range Shipped() {
		data, err := shipped.ReadFile(name + ".toml")
		if err != nil {
			return nil, err
		}
		if l.tasks[name], err = Parse(name+".toml", data); err != nil {
			return nil, err
		}
	}
	own := l.loadOwn(folder)
	for name, t := range l.tasks {
		if _, ok := own[name]; !ok {
			if err := l.index(t); err != nil {
				return nil, err
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		if err := l.index(own[name]); err != nil {
			l.leaveOut(name, err)
		}
	}
	for _, name := range l.Names() {
		if err := l.checkGroup(l.tasks[name]); err != nil {
			if _, ok := own[name]; !ok {
				return nil, err
			}
			l.leaveOut(name, err)
		}
	}
	return l, nil
}

// loadOwn reads the files of the user's folder, and returns the tasks of those that can be used.
func (l *Library) loadOwn(folder string) map[string]*Task {
	own := map[string]*Task{}
	if folder == "" {
		return own
	}
	for _, name := range namesIn(os.DirFS(folder)) {
		path := filepath.Join(folder, name+".toml")
		data, err := os.ReadFile(path)
		var t *Task
		if err == nil {
			t, err = Parse(path, data)
		}
		if err != nil {
			l.leaveOut(name, err)
			continue
		}
		own[name], l.tasks[name] = t, t
	}
	return own
}

// leaveOut takes a task of the user's folder out. A task of the binary does not take its place: the user
// means another one.
func (l *Library) leaveOut(name string, why error) {
	l.broken[name] = why
	delete(l.tasks, name)
	maps.DeleteFunc(l.names, func(_, of string) bool { return of == name })
}

// Problems returns, for each file of the user's folder that cannot be used, why. They are sorted by the files' names.
func (l *Library) Problems() []error {
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(l.broken)) {
		problems = append(problems, l.broken[name])
	}
	return problems
}

// index lists the name and the aliases of a task, and checks that none is another task's.
func (l *Library) index(t *Task) error {
	for _, alias := range append([]string{t.Name}, t.Aliases...) {
		if other, ok := l.names[alias]; ok && other != t.Name {
			return adapters.Errorf(adapters.Invalid, "the tasks %s and %s have both the name %s", other, t.Name, alias).
				WithRemedy("give the task in the folder tasks of bridge's configuration folder another name")
		}
		l.names[alias] = t.Name
	}
	return nil
}

// checkGroup returns an error unless the members of a group are tasks. A member whose file cannot be used has
// its own error.
func (l *Library) checkGroup(g *Task) error {
	for _, member := range g.Tasks {
		if l.broken[member] != nil {
			continue
		}
		if t, err := l.Task(member); err != nil {
			return adapters.Errorf(adapters.Invalid, "the group %s: %w", g.Name, err)
		} else if t.IsGroup() {
			return adapters.Errorf(adapters.Invalid, "the group %s names %s, which is a group itself, want tasks", g.Name, member)
		}
	}
	return nil
}

// Names returns the names of all tasks, sorted.
func (l *Library) Names() []string { return slices.Sorted(maps.Keys(l.tasks)) }

// Task returns a task by name or alias, or from a file NAME.toml.
func (l *Library) Task(name string) (*Task, error) {
	if err := l.broken[name]; err != nil {
		return nil, err
	}
	if t, ok := l.tasks[l.names[name]]; ok {
		return t, nil
	}
	if strings.HasSuffix(name, ".toml") {
		data, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, adapters.Errorf(adapters.NotFound, "there is no file %s", name).WithRemedy("check the path")
		}
		if err != nil {
			return nil, err
		}
		return Parse(name, data)
	}
	all := slices.Sorted(maps.Keys(l.names))
	return nil, adapters.Errorf(adapters.NotFound, "there is no task %q%s", name, didyoumean.Hint(name, all)).
		WithRemedy("`bridge eval list` shows all tasks")
}

// Expand returns tasks by names, groups replaced by their tasks, each task once. Two different tasks of one
// name are an error, because they have one folder.
func (l *Library) Expand(names []string) ([]*Task, error) {
	var out []*Task
	add := func(t *Task) error {
		i := slices.IndexFunc(out, func(o *Task) bool { return o.Name == t.Name })
		if i < 0 {
			out = append(out, t)
		} else if out[i].Digest() != t.Digest() {
			return adapters.Errorf(adapters.Invalid, "two different tasks have the name %s", t.Name).
				WithRemedy("give one of the files another name, or run one of them with another --out")
		}
		return nil
	}
	for _, name := range names {
		t, err := l.Task(name)
		if err != nil {
			return nil, err
		}
		if !t.IsGroup() {
			if err := add(t); err != nil {
				return nil, err
			}
			continue
		}
		for _, member := range t.Tasks {
			m, err := l.Task(member)
			if err == nil {
				err = add(m)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// Parse reads a task from the text of its file. The name of the task is that of the file.
func Parse(path string, data []byte) (*Task, error) {
	doc, err := stricttoml.Parse(path, data)
	if err != nil {
		return nil, err
	}
	t := &Task{Prompt: Prompt{Question: BLIPQuestion}, Retrieve: Retrieve{Caption: BLIPCaption}}
	doc.Decode(t)
	if doc.Fits() {
		t.check(doc, strings.TrimSuffix(filepath.Base(path), ".toml"))
	}
	sum := sha256.Sum256(data)
	t.digest = "sha256:" + hex.EncodeToString(sum[:])
	return t, doc.Err()
}
