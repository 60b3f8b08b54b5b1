package comparison

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/runs"
	"github.com/modular-bridging/bridge/runs/ladder"
	"github.com/modular-bridging/bridge/workspace"
)

// Options say where runs are, and which of them to train.
type Options struct {
	// Out is the folder of new runs and of the report. Empty: runs/ and the name of the first
	// recipe or matrix.
	Out       string
	Overrides []recipes.Override
	// Results is a file of a ladder's results. The runs in it are not trained again, and new ones
	// are added. Empty: none.
	Results string
	// Only are the options of a ladder whose runs are trained. Empty: all. Finished runs of the
	// others are read.
	Only []string
	// Limit is the largest number of runs of a ladder to train now. Nil: no limit.
	Limit *int
	// Against names the rung that a ladder's options and budgets are compared with in place of Q*. Zero: Q*.
	Against ladder.RungName
	// Eval says on which benchmarks runs are evaluated, except those of ladders. Its Tasks may be empty.
	// A run's results are in its folder; those that are there already are used again.
	Eval runs.EvalOptions
}

// check checks that options of ladders are given for ladders alone.
func (o Options) check(args []string) error {
	if o.Results == "" && len(o.Only) == 0 && o.Limit == nil {
		return nil
	}
	for _, arg := range args {
		if !recipes.IsMatrix(arg) {
			return workspace.OptionErrorf("%s is not a matrix with a table [ladder], so it takes no --results, --only and --limit", arg)
		}
		m, err := recipes.LoadMatrix(arg)
		if err != nil {
			return err
		}
		if m.Ladder == nil {
			return workspace.OptionErrorf("%s has no table [ladder], so it takes no --results, --only and --limit", arg)
		}
		for _, option := range o.Only {
			if _, ok := m.Options[option]; !ok {
				return workspace.OptionErrorf("--only %s: %s has no such option, only %s", option, arg,
					strings.Join(slices.Sorted(maps.Keys(m.Options)), ", "))
			}
		}
	}
	return nil
}

// Gather returns the comparison of the runs in args. Each argument is the folder of a finished
// run, a recipe, a matrix, or a file of a ladder's results. Gather first trains the runs of recipes
// and matrices that are not finished, in folders in Out. dir is the folder that was used as Out; it
// is empty if Out is and no argument needs a folder.
func Gather(ctx context.Context, w *workspace.Workspace, args []string, o Options) (c *Comparison, dir string, err error) {
	if err := runs.CheckFolder("the folder of the comparison", o.Out); err != nil {
		return nil, o.Out, err
	}
	if err := o.check(args); err != nil {
		return nil, o.Out, err
	}
	if len(o.Eval.Tasks) > 0 {
		if err := runs.CheckTasks(ctx, o.Eval); err != nil { // before anything is trained
			return nil, o.Out, err
		}
	}
	isResults := func(arg string) bool { return strings.HasSuffix(arg, ladder.Extension) }
	files, others := slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return !isResults(arg) }), slices.DeleteFunc(slices.Clone(args), isResults)
	all, err := readFiles(files)
	if err != nil {
		return nil, o.Out, err
	}
	if err := o.checkAgainst(others, all); err != nil { // before anything is trained
		return nil, o.Out, err
	}
	c = &Comparison{against: o.Against}
	for _, arg := range others {
		if err := c.gatherOne(ctx, w, arg, &o); err != nil {
			return nil, o.Out, err
		}
	}
	for _, results := range all {
		if err := c.addResults(results); err != nil {
			return nil, o.Out, err
		}
	}
	if err := c.checkAgainst(); err != nil {
		return nil, o.Out, err
	}
	return c, o.Out, c.evaluate(ctx, w, o.Eval)
}

// gatherOne adds the runs of one argument. It sets o.Out if that is empty and the argument needs a
// folder.
func (c *Comparison) gatherOne(ctx context.Context, w *workspace.Workspace, arg string, o *Options) error {
	if info, err := os.Stat(arg); err == nil && info.IsDir() {
		return c.Add(filepath.Base(arg), "", false, arg)
	}
	if recipes.IsMatrix(arg) {
		return c.gatherMatrix(ctx, w, arg, o)
	}
	r, err := recipes.LoadWith(arg, o.Overrides...)
	if err != nil {
		if adapters.KindOf(err) == adapters.NotFound {
			return adapters.Errorf(adapters.NotFound, "%s is not a run folder, a recipe, a matrix or a file of results", arg).
				WithRemedy("name a run folder, a recipe (bridge recipes list), a TOML file with encoders, llms and options, or a file *%s",
					ladder.Extension)
		}
		return err
	}
	setDefault(&o.Out, r.Name)
	dir := filepath.Join(o.Out, r.Name)
	if err := complete(ctx, w, r, dir); err != nil {
		return err
	}
	return c.Add(r.Name, "", false, dir)
}

// gatherMatrix trains the runs of a matrix that are not finished, and adds all.
func (c *Comparison) gatherMatrix(ctx context.Context, w *workspace.Workspace, file string, o *Options) error {
	m, err := recipes.LoadMatrix(file)
	if err != nil {
		return err
	}
	setDefault(&o.Out, m.Name)
	if m.Ladder != nil {
		return c.climbLadder(ctx, w, m, *o)
	}
	all, err := runs.TrainMatrix(ctx, w, m, o.Out, o.Overrides)
	if err != nil {
		return err
	}
	return c.AddMatrix(m, all)
}

// setDefault sets out to runs/ and a name if it is empty.
func setDefault(out *string, name string) {
	if *out == "" {
		*out = filepath.Join("runs", name)
	}
}

// complete trains a recipe if its run is not finished.
func complete(ctx context.Context, w *workspace.Workspace, recipe *recipes.Recipe, dir string) error {
	reg, err := w.Registry()
	if err != nil {
		return err
	}
	r, err := recipe.Resolve(reg)
	if err != nil {
		return err
	}
	_, err = runs.Complete(ctx, w, r, dir)
	return err
}
