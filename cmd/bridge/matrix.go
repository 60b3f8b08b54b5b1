package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/modular-bridging/bridge/recipes"
)

// cellRun is a run of a matrix: finished, or with what went wrong.
type cellRun struct {
	recipes.Cell
	dir string
	err error
}

// runMatrix trains what is not trained yet of a matrix, each cell into a folder
// below out. A cell that fails is reported and does not end the rest; one that
// was interrupted goes on from its newest checkpoint.
func (p *program) runMatrix(ctx context.Context, m *recipes.Matrix, out string, more []recipes.Override) ([]cellRun, error) {
	cells := m.Cells()
	var runs []cellRun
	var spent time.Duration
	trained := 0
	for i, cell := range cells {
		run := cellRun{Cell: cell, dir: filepath.Join(out, cell.Name())}
		left := ""
		if trained > 0 {
			left = fmt.Sprintf(", about %v left", (spent / time.Duration(trained) * time.Duration(len(cells)-i)).Round(time.Second))
		}
		p.log.Info(fmt.Sprintf("%s: run %d of %d, %s%s", m.Name, i+1, len(cells), cell.Name(), left))
		began := time.Now()
		fresh, err := p.runCell(ctx, m, run, more)
		if ctx.Err() != nil {
			return runs, ctx.Err()
		}
		if err != nil {
			p.log.Error("this run failed; the others go on", "run", cell.Name(), "error", err)
			run.err = err
		}
		if fresh {
			trained, spent = trained+1, spent+time.Since(began)
		}
		runs = append(runs, run)
	}
	return runs, nil
}

// runCell does one run of a matrix and reports whether there was anything to do.
func (p *program) runCell(ctx context.Context, m *recipes.Matrix, run cellRun, more []recipes.Override) (fresh bool, err error) {
	reg, err := p.registry(ctx)
	if err != nil {
		return false, err
	}
	option := m.Options[run.Option]
	from := m.From
	if option.From != "" {
		from = option.From
	}
	s := swap{from: from, llm: run.LLM, encoder: run.Encoder, recipe: m.Recipe, cold: option.Cold, more: append(m.Overrides(run.Cell), more...)}
	r, err := s.resolve(ctx, p, reg)
	if err != nil {
		return false, err
	}
	r.Name = run.Name()
	return p.finish(ctx, r, run.dir)
}

// finish brings a run to its end, wherever it is: not begun, interrupted, or
// finished, which leaves nothing to do.
func (p *program) finish(ctx context.Context, r *recipes.Resolved, dir string) (fresh bool, err error) {
	there, err := begun(dir)
	if err != nil {
		return false, err
	}
	take := claimNew
	if there {
		if err := sameRecipe(dir, r); err != nil {
			return false, err
		}
		if _, err := readSummary(dir); err == nil {
			return false, nil
		}
		take = claimOld
	}
	_, err = p.trainIn(ctx, r, dir, take, there)
	return true, err
}
