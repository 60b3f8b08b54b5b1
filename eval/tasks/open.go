package tasks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/official"
	"github.com/modular-bridging/bridge/data/record"
	"github.com/modular-bridging/bridge/eval/score"
	"github.com/modular-bridging/bridge/internal/shell"
)

// kitPrefix is before the names of files and folders of the kit's benchmarks.
const kitPrefix = "kit:"

// Places are the folders in which tasks' files are looked for.
type Places struct {
	// Data are folders, the first before the others.
	Data []string
	// Kit returns the path of a file or a folder of the kit's benchmarks by its name, without
	// "kit:". It writes them if it must.
	Kit func(ctx context.Context, name string) (string, error)
}

// WithoutKit returns places that find the kit's benchmarks under their names, and write nothing.
func (p Places) WithoutKit() Places {
	p.Kit = func(_ context.Context, name string) (string, error) { return kitPrefix + name, nil }
	return p
}

// Wanted is a file or a folder that a task reads.
type Wanted struct {
	Role  string   `json:"role"`           // "questions", or "pictures"
	Names []string `json:"names"`          // any one of them does
	Path  string   `json:"path,omitempty"` // where it was found; empty if it is missing
}

// Missing reports whether the file was not found.
func (w Wanted) Missing() bool { return w.Path == "" }

// Files are those of a task.
type Files struct {
	Wanted   []Wanted `json:"files"`
	Searched []string `json:"searched"` // the folders
}

// Missing returns the files that were not found.
func (f Files) Missing() []Wanted {
	return slices.DeleteFunc(slices.Clone(f.Wanted), func(w Wanted) bool { return !w.Missing() })
}

// Err returns an error that names the missing files; nil if all were found.
func (f Files) Err(task string) error {
	missing := f.Missing()
	if len(missing) == 0 {
		return nil
	}
	var names []string
	for _, w := range missing {
		names = append(names, fmt.Sprintf("%s (%s)", w.Role, strings.Join(w.Names, " or ")))
	}
	return adapters.Errorf(adapters.NotFound, "%s: %d of %d files are not in %s: %s", task, len(missing), len(f.Wanted), strings.Join(f.Searched, ", "), strings.Join(names, "; ")).
		WithRemedy("put them there, or name their folder with --data; `bridge eval show %s` lists all", shell.Word(task))
}

// path returns where a role's file was found.
func (f Files) path(role string) string {
	i := slices.IndexFunc(f.Wanted, func(w Wanted) bool { return w.Role == role })
	if i < 0 {
		return ""
	}
	return f.Wanted[i].Path
}

// picturesRole is the role of the folder of pictures.
const picturesRole = "pictures"

// Locate looks for the task's files and its folder of pictures.
func (t *Task) Locate(ctx context.Context, p Places) (Files, error) {
	f := Files{Searched: p.Data}
	for _, role := range formats[t.Data.Format].roles {
		f.Wanted = append(f.Wanted, Wanted{Role: role, Names: t.Data.Files[role]})
	}
	if !formats[t.Data.Format].ownPictures {
		f.Wanted = append(f.Wanted, Wanted{Role: picturesRole, Names: t.Data.Pictures})
	}
	for i := range f.Wanted {
		var err error
		if f.Wanted[i].Path, err = p.find(ctx, f.Wanted[i].Names); err != nil {
			return f, err
		}
	}
	return f, nil
}

// find returns the path of the first name that is there; empty if none is.
func (p Places) find(ctx context.Context, names []string) (string, error) {
	for _, name := range names {
		if inKit, ok := strings.CutPrefix(name, kitPrefix); ok {
			if p.Kit == nil {
				return "", adapters.Errorf(adapters.Unsupported, "%s is one of the kit's benchmarks, which this program does not have", name)
			}
			return p.Kit(ctx, inKit)
		}
		for _, folder := range p.Data {
			for _, suffix := range []string{"", packed} {
				path := filepath.Join(folder, filepath.FromSlash(name)) + suffix
				if _, err := os.Stat(path); err == nil {
					return path, nil
				}
			}
		}
	}
	return "", nil
}

// Set is the samples of a task in the order of its files.
type Set struct {
	Task  *Task
	Files Files

	reader   record.Reader
	sample   func(record.Record) (Sample, error)
	unpacked unpacked
}

// Open opens the files of a task. It returns an error if files are missing, or if the number of
// samples is not the one that the task expects.
func Open(t *Task, f Files) (*Set, error) {
	if err := f.Err(t.Name); err != nil {
		return nil, err
	}
	s := &Set{Task: t, Files: f, sample: formats[t.Data.Format].sample}
	if err := s.open(); err != nil {
		_ = s.Close() // only read
		return nil, fmt.Errorf("%s: %w", t.Name, err)
	}
	return s, nil
}

// open opens the files, and checks the number of samples and whether they have answers.
func (s *Set) open() (err error) {
	format, names := formats[s.Task.Data.Format], make([]string, 0, 2)
	var paths []string
	for _, role := range format.roles {
		name := s.Files.path(role)
		path, err := s.unpacked.path(name)
		if err != nil {
			return err
		}
		names, paths = append(names, name), append(paths, path)
	}
	layout := cmp.Or(format.layout, s.Task.Data.Format)
	if s.reader, err = official.OpenBenchmark(layout, paths, s.Task.Data.Split, s.Files.path(picturesRole)); err != nil {
		return err
	}
	if n, want := s.Len(), s.Task.Data.Expect; want != 0 && n != want {
		return adapters.Errorf(adapters.Invalid, "%s has %d samples, want %d", strings.Join(names, ", "), n, want).
			WithRemedy("download the files of this split again; figures of a part are no figures of the benchmark (--limit draws a part of all)")
	}
	if err := s.unanswered(); err != nil {
		return adapters.Errorf(adapters.Invalid, "%s has no right answers to compare with: %w", strings.Join(names, ", "), err).
			WithRemedy("name the files of a split with answers; vqav2-test and vizwiz-test write the answers for an evaluation server instead")
	}
	return nil
}

// unanswered returns the error of the first sample if the first few all lack right answers.
func (s *Set) unanswered() (first error) {
	const few = 3
	for i := range min(few, s.Len()) {
		_, err := s.Sample(i)
		if !errors.Is(err, errNoAnswers) {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// Len returns the number of samples.
func (s *Set) Len() int { return s.reader.Len() }

// Sample returns sample i. Its error names the sample; the others are not to blame.
func (s *Set) Sample(i int) (Sample, error) {
	r, err := s.reader.Record(i)
	if err != nil {
		return Sample{}, err
	}
	out, err := s.sample(r)
	if err != nil {
		return Sample{}, r.Bad(i, record.Damaged, err)
	}
	if len(s.Task.Rank.Candidates) > 0 {
		out.Choices = s.Task.Rank.Candidates
	}
	if s.Task.Metric.Name == score.Choice && out.Right >= 0 {
		out.Targets = []string{out.Choices[out.Right]}
	}
	return out, nil
}

// Digest identifies the content of the files, except the pictures.
func (s *Set) Digest() string { return "sha256:" + s.reader.Digest() }

// Warnings are sentences about the files, for people.
func (s *Set) Warnings() []string { return s.reader.Warnings() }

// Close closes the files.
func (s *Set) Close() error {
	var err error
	if s.reader != nil {
		err = s.reader.Close()
	}
	return errors.Join(err, s.unpacked.remove())
}
