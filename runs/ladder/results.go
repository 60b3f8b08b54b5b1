package ladder

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/atomicfile"
	"github.com/modular-bridging/bridge/internal/jsonfile"
	"github.com/modular-bridging/bridge/recipes"
)

// Extension is how the name of a file of results ends.
const Extension = ".results.json"

// format is the first member of a file of results.
const format = "bridge ladder results 1"

// Results are the runs of a matrix with a ladder.
type Results struct {
	Matrix *recipes.Matrix
	Runs   []Record
}

// file is the JSON of results. Matrix is TOML, by line.
type file struct {
	Format string   `json:"format"`
	Name   string   `json:"name"`
	Matrix []string `json:"matrix"`
	Runs   []Record `json:"runs"`
}

// Find returns the record of a run.
func (r *Results) Find(run recipes.MatrixRun) (Record, bool) {
	i := slices.IndexFunc(r.Runs, func(record Record) bool { return record.MatrixRun == run })
	if i < 0 {
		return Record{}, false
	}
	return r.Runs[i], true
}

// Add adds the record of a run. A run that is there already must have the same results.
func (r *Results) Add(record Record) error {
	old, found := r.Find(record.MatrixRun)
	if !found {
		r.Runs = append(r.Runs, record)
		slices.SortFunc(r.Runs, func(a, b Record) int { return a.CompareCost(b.MatrixRun) })
		return nil
	}
	old.Measured = record.Measured // another machine, or another load
	if !reflect.DeepEqual(old, record) {
		return adapters.Errorf(adapters.Invalid, "there are two runs %s with different results: exact match %.4f and %.4f on %s",
			record.Name(), old.Sets[0].Exact.Share(), record.Sets[0].Exact.Share(), record.Sets[0].Name).
			WithRemedy("remove one of them, or give the option of one another name")
	}
	return nil
}

// Merge adds the runs of other results, whose matrix must agree about the runs that it shares with
// r's. The rules of the ladder stay r's.
func (r *Results) Merge(o *Results) error {
	if err := r.Matrix.Join(o.Matrix); err != nil {
		return err
	}
	for _, record := range o.Runs {
		if err := r.Add(record); err != nil {
			return err
		}
	}
	return nil
}

// Read reads a file of results.
func Read(path string) (*Results, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "the results cannot be read: %w", err)
	}
	var f file
	if err := jsonfile.Decode(path, text, &f); err != nil {
		return nil, err
	}
	if f.Format != format {
		return nil, adapters.Errorf(adapters.Unsupported, "%s has the format %q, want %q", path, f.Format, format).
			WithRemedy("use the version of bridge that wrote it")
	}
	m, err := recipes.ParseMatrix(f.Name, []byte(strings.Join(f.Matrix, "\n")))
	if err != nil {
		return nil, adapters.Errorf(adapters.KindOf(err), "%s: its matrix: %w", path, err)
	}
	if m.Ladder == nil {
		return nil, adapters.Errorf(adapters.Invalid, "%s: its matrix has no table [ladder]", path)
	}
	r := &Results{Matrix: m}
	for _, record := range f.Runs {
		if len(record.Sets) == 0 || record.Budget <= 0 || record.Steps <= 0 || record.Batch <= 0 {
			return nil, adapters.Errorf(adapters.Corrupt, "%s: the run %s lacks its sets, budget, steps or batch", path, record.Name())
		}
		if !r.covers(record.MatrixRun) {
			return nil, adapters.Errorf(adapters.Corrupt, "%s: its matrix lacks the option, a model or the seed of the run %s", path, record.Name()).
				WithRemedy("remove the run from the file, or add what its matrix lacks")
		}
		if err := r.Add(record); err != nil {
			return nil, adapters.Errorf(adapters.KindOf(err), "%s: %w", path, err)
		}
	}
	return r, nil
}

// covers reports whether the matrix has the option, the models and the seed of a run. An option may have had more
// seeds in another file that was merged.
func (r *Results) covers(run recipes.MatrixRun) bool {
	_, found := r.Matrix.Options[run.Option]
	return found && slices.Contains(r.Matrix.Encoders, run.Encoder) && slices.Contains(r.Matrix.LLMs, run.LLM) &&
		slices.Contains(r.Matrix.Seeds, run.Seed)
}

// Write writes the results to a file, one run a line.
func (r *Results) Write(path string) error {
	text, err := r.encode()
	if err != nil {
		return err
	}
	return atomicfile.Write(path, func(w io.Writer) error { _, err := w.Write(text); return err })
}

func (r *Results) encode() ([]byte, error) {
	matrix, err := r.Matrix.Encode()
	if err != nil {
		return nil, err
	}
	head, err := json.MarshalIndent(file{Format: format, Name: r.Matrix.Name, Runs: []Record{},
		Matrix: strings.Split(strings.TrimSpace(string(matrix)), "\n")}, "", "  ")
	if err != nil {
		return nil, err
	}
	var lines [][]byte
	for _, record := range r.Runs {
		line, err := json.Marshal(record)
		if err != nil {
			return nil, err
		}
		lines = append(lines, append([]byte("\n    "), line...))
	}
	begin, _, _ := bytes.Cut(head, []byte("[]\n}"))
	return slices.Concat(begin, []byte("["), bytes.Join(lines, []byte(",")), []byte("\n  ]\n}\n")), nil
}
