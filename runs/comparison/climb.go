package comparison

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/runs"
	"github.com/modular-bridging/bridge/runs/ladder"
	"github.com/modular-bridging/bridge/workspace"
)

// climber completes the runs of a matrix with a ladder, one after the other. After each run it asks
// package ladder which ones are needed now.
type climber struct {
	workspace *workspace.Workspace
	matrix    *recipes.Matrix // its own runs; those of a file of results are only compared
	runner    *runs.MatrixRunner
	Options
	results *ladder.Results
	failed  map[recipes.MatrixRun]error
	missing map[recipes.MatrixRun]bool // needed, but not trained now
	trained int
}

// climbLadder completes the runs of a matrix with a ladder, as far as the options allow, and adds
// its ladders.
func (c *Comparison) climbLadder(ctx context.Context, w *workspace.Workspace, m *recipes.Matrix, o Options) error {
	k := &climber{workspace: w, matrix: m, runner: runs.NewMatrixRunner(w, m, o.Out, o.Overrides), Options: o, failed: map[recipes.MatrixRun]error{},
		missing: map[recipes.MatrixRun]bool{}, results: &ladder.Results{Matrix: cloned(m)}}
	if err := k.readResults(); err != nil {
		return err
	}
	for {
		run, found, err := k.next()
		if err != nil {
			return err
		}
		if !found {
			break
		}
		if err := k.complete(ctx, run); err != nil {
			return err
		}
	}
	for run, err := range k.failed {
		c.Failed = append(c.Failed, runs.MatrixResult{MatrixRun: run, Dir: k.dir(run), Err: err})
	}
	slices.SortFunc(c.Failed, func(a, b runs.MatrixResult) int { return a.CompareCost(b.MatrixRun) })
	if err := c.addFolders(k); err != nil {
		return err
	}
	if err := k.writeResults(); err != nil {
		return err
	}
	return c.addResults(k.results)
}

// cloned returns a copy of a matrix to which other results can be joined.
func cloned(m *recipes.Matrix) *recipes.Matrix {
	c := *m
	c.Options = maps.Clone(m.Options)
	return &c
}

func (k *climber) dir(run recipes.MatrixRun) string { return filepath.Join(k.Out, run.Name()) }

// readResults reads the file of results, if there is one yet.
func (k *climber) readResults() error {
	if k.Results == "" {
		return nil
	}
	if _, err := os.Stat(k.Results); os.IsNotExist(err) {
		return nil
	}
	recorded, err := ladder.Read(k.Results)
	if err != nil {
		return err
	}
	return k.results.Merge(recorded)
}

// writeResults writes the results into the folder of the runs.
func (k *climber) writeResults() error {
	if len(k.results.Runs) == 0 {
		return nil
	}
	if err := os.MkdirAll(k.Out, 0o755); err != nil {
		return err
	}
	return k.results.Write(filepath.Join(k.Out, k.matrix.Name+ladder.Extension))
}

// next returns the cheapest run that is needed and was not tried.
func (k *climber) next() (run recipes.MatrixRun, found bool, err error) {
	needed, err := k.results.Next()
	if err != nil {
		return run, false, err
	}
	for _, run := range needed {
		_, own := k.matrix.Options[run.Option]
		own = own && slices.Contains(k.matrix.Encoders, run.Encoder) && slices.Contains(k.matrix.LLMs, run.LLM) &&
			slices.Contains(k.matrix.SeedsOf(run.Option), run.Seed)
		if own && k.failed[run] == nil && !k.missing[run] {
			return run, true, nil
		}
	}
	return run, false, nil
}

// complete trains a run, or reads it if it is finished, and records its result. The error of a
// run is kept, and the next one starts; complete returns an error only if nothing can go on.
func (k *climber) complete(ctx context.Context, run recipes.MatrixRun) error {
	excluded := len(k.Only) > 0 && !slices.Contains(k.Only, run.Option) || k.Limit != nil && k.trained >= *k.Limit
	if _, err := runs.ReadSummary(k.dir(run)); err != nil && excluded {
		k.missing[run] = true
		return nil
	}
	k.workspace.Log().Info(fmt.Sprintf("%s: %s", k.matrix.Name, run.Name()))
	trained, err := k.runner.Complete(ctx, run)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if trained {
		k.trained++
	}
	var record ladder.Record
	if err == nil {
		record, err = readRecord(k.dir(run), run)
	}
	if err != nil {
		k.workspace.Log().Error("this run failed; the next one starts", "run", run.Name(), "error", err)
		k.failed[run] = err
		return nil
	}
	if err := k.results.Add(record); err != nil || k.Results == "" {
		return err
	}
	return k.results.Write(k.Results)
}

// addFolders adds the ladder's runs that have folders, for the table of all metrics and the report.
func (c *Comparison) addFolders(k *climber) error {
	highest := map[string]*rungVariant{} // of each option; the records come with ascending budgets
	for _, record := range k.results.Runs {
		if _, err := runs.ReadSummary(k.dir(record.MatrixRun)); err != nil {
			continue // it was trained elsewhere
		}
		models := combination(record.Encoder, record.LLM) + ", "
		option, rung := models+record.Option, ladder.RungName{Option: record.Option, Budget: record.Budget}
		v := Variant{Name: models + rung.String(), Option: record.Option, rung: &rungVariant{}}
		if err := c.add(v, k.dir(record.MatrixRun)); err != nil {
			return err
		}
		if added := c.Variants[len(c.Variants)-1]; added.Name == v.Name {
			highest[option] = added.rung
		}
	}
	for _, rung := range highest {
		rung.highest = true
	}
	return nil
}

// combination names two frozen models.
func combination(encoder, llm string) string {
	return registry.FolderName(encoder) + " + " + registry.FolderName(llm)
}
