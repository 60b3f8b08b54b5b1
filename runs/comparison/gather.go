package comparison

import (
	"context"
	"os"
	"path/filepath"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/runs"
	"github.com/modular-bridging/bridge/workspace"
)

// Gather returns the comparison of the runs in args. Each argument is the folder of a finished
// run, a recipe, or a matrix. Gather first trains the runs of recipes and matrices that are not
// finished, in folders in out. If out is empty, it becomes runs/ and the name of the first
// recipe or matrix. dir is the folder that was used as out.
func Gather(ctx context.Context, w *workspace.Workspace, args []string, out string, overrides []recipes.Override) (
	c *Comparison, dir string, err error,
) {
	if err := runs.CheckFolder("the folder of the comparison", out); err != nil {
		return nil, out, err
	}
	c = &Comparison{}
	for _, arg := range args {
		if err := c.gatherOne(ctx, w, arg, &out, overrides); err != nil {
			return nil, out, err
		}
	}
	return c, out, nil
}

// gatherOne adds the runs of one argument.
func (c *Comparison) gatherOne(ctx context.Context, w *workspace.Workspace, arg string, out *string, overrides []recipes.Override) error {
	if info, err := os.Stat(arg); err == nil && info.IsDir() {
		return c.Add(filepath.Base(arg), "", false, arg)
	}
	if recipes.IsMatrix(arg) {
		m, err := recipes.LoadMatrix(arg)
		if err != nil {
			return err
		}
		setDefault(out, m.Name)
		all, err := runs.TrainMatrix(ctx, w, m, *out, overrides)
		if err != nil {
			return err
		}
		return c.AddMatrix(m, all)
	}
	r, err := recipes.LoadWith(arg, overrides...)
	if err != nil {
		if adapters.KindOf(err) == adapters.NotFound {
			return adapters.Errorf(adapters.NotFound, "%s is not a run folder, a recipe or a matrix", arg).
				WithRemedy("name a run folder, a recipe (bridge recipes list), or a TOML file with encoders, llms and options")
		}
		return err
	}
	setDefault(out, r.Name)
	dir := filepath.Join(*out, r.Name)
	if err := complete(ctx, w, r, dir); err != nil {
		return err
	}
	return c.Add(r.Name, "", false, dir)
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
