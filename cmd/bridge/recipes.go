package main

import (
	"io"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/internal/printable"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/runs"
)

func (p *program) recipesCommand() *cli.Command {
	return group("recipes", "list, show and check recipes, which are training settings in files",
		&cli.Command{
			Name: "list", Usage: "list the built-in recipes", UsageText: "bridge recipes list [--json]",
			Description: "Example: bridge recipes list", Flags: []cli.Flag{jsonFlag()}, Action: p.recipesList,
		},
		&cli.Command{
			Name: "show", Usage: "print a built-in recipe, its parameter count and the memory of its processes", ArgsUsage: "NAME",
			UsageText: "bridge recipes show [--backend B] [--json] NAME",
			Description: "--backend changes the estimate of the memory alone: xla:cuda gives that of a GPU, on any machine.\n\n" +
				"Example: bridge recipes show tiny-stage2-opt > mine.toml",
			Flags: []cli.Flag{backendFlag(), jsonFlag()}, Action: p.recipesShow,
		},
		&cli.Command{
			Name: "check", Usage: "check a recipe, its annotation files and some of its pictures, and print it with all values resolved", ArgsUsage: "FILE",
			UsageText: "bridge recipes check FILE [--set key=value]...",
			Description: "It reads the annotation files to their end, looks for the file of every picture, and reads 20 pictures of each data set. " +
				"It fails if training would: for example, if more pictures than data.max_bad cannot be used, or if this machine's memory is " +
				"too little.\n\n" +
				"Example: bridge recipes check mine.toml --set optimizer.lr=1e-4",
			Flags: []cli.Flag{setFlag()}, Action: p.recipesCheck,
		})
}

func (p *program) recipesList(c *cli.Context) error {
	if _, err := arguments(c, 0, 0); err != nil {
		return err
	}
	var rows [][]string
	for _, name := range recipes.Shipped() {
		text, err := recipes.Text(name)
		if err != nil {
			return err
		}
		about := recipes.About(text)
		if c.Bool("json") {
			if err := p.printJSON(map[string]string{"name": name, "about": about}); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, []string{name, about})
	}
	if c.Bool("json") {
		return nil
	}
	return p.table([]string{"NAME", "ABOUT"}, rows)
}

func (p *program) recipesShow(c *cli.Context) error {
	args, err := arguments(c, 1, 1)
	if err != nil {
		return err
	}
	text, err := recipes.Text(args[0])
	if err != nil {
		return err
	}
	r, err := recipes.LoadWith(args[0], overrides(c)...)
	if err != nil {
		return err
	}
	counts, err := runs.Count(c.Context, p.workspace, r)
	if err != nil {
		return err
	}
	use, err := runs.EstimateMemory(c.Context, p.workspace, r)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return p.printJSON(shownRecipe{args[0], string(text), counts.Counts, use})
	}
	_, err = p.stdout.Write(recipes.InsertComment(text, counts.Comment()+use.Comment()))
	return err
}

// shownRecipe is the object of recipes show --json.
type shownRecipe struct {
	Name       string         `json:"name"`
	Text       string         `json:"text"`
	Parameters recipes.Counts `json:"parameters"`
	Memory     runs.MemoryUse `json:"memory"`
}

func (p *program) recipesCheck(c *cli.Context) error {
	args, err := arguments(c, 1, 1)
	if err != nil {
		return err
	}
	resolved, err := p.resolve(args[0], overrides(c))
	if err != nil {
		return err
	}
	resolved = runs.WithMovedData(p.workspace, resolved)
	if err := runs.CheckMemory(c.Context, p.workspace, resolved); err != nil {
		return err
	}
	if err := runs.CheckData(c.Context, p.workspace, resolved); err != nil {
		return err
	}
	text, err := resolved.Encode()
	if err != nil {
		return err
	}
	_, err = io.WriteString(p.stdout, printable.Text(string(text))) // TOML has the same escapes
	return err
}

// resolve loads a recipe and looks up its models.
func (p *program) resolve(nameOrFile string, overrides []recipes.Override) (*recipes.Resolved, error) {
	r, err := recipes.LoadWith(nameOrFile, overrides...)
	if err != nil {
		return nil, err
	}
	reg, err := p.workspace.Registry()
	if err != nil {
		return nil, err
	}
	return r.Resolve(reg)
}
