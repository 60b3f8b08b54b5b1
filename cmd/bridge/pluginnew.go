package main

import (
	"cmp"
	"context"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/builtin"
	"github.com/modular-bridging/bridge/internal/shell"
	"github.com/modular-bridging/bridge/plugins/project"
)

func (p *program) pluginNewCommand() *cli.Command {
	return &cli.Command{
		Name: "new", Usage: "create an adapter project with a small working model", ArgsUsage: "NAME",
		UsageText: "bridge plugin new NAME --lang go|python --kind language-model|vision-encoder [--dir DIR] [--no-build]",
		Description: "The new project contains all that it needs from bridge. It builds, passes its tests and trains on the kit\n" +
			"unchanged. The parts for you to replace are marked YOURS. It needs Go, or Python with venv and a network for pip.\n\n" +
			"Example: bridge plugin new mybackbone --lang python --kind language-model",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "lang", Usage: "`LANGUAGE` of the project: " + strings.Join(project.Languages(), " or ")},
			&cli.StringFlag{Name: "kind", Usage: "`KIND` of model: language-model or vision-encoder"},
			&cli.StringFlag{Name: "dir", Usage: "`DIR` to create (default: NAME in the working folder)"},
			&cli.BoolFlag{Name: "no-build", Usage: "write the files only"},
		},
		Action: p.pluginNew,
	}
}

func (p *program) pluginNew(c *cli.Context) error {
	args, err := arguments(c, 1, 1)
	if err != nil {
		return err
	}
	o := project.Options{Name: args[0], Language: c.String("lang"), Kind: adapters.ModelKind(c.String("kind")),
		Dir: cmp.Or(c.String("dir"), args[0])}
	var kinds []string
	for _, k := range project.Kinds() {
		kinds = append(kinds, string(k))
	}
	if err := checkChoice("--lang", o.Language, project.Languages()); err != nil {
		return err
	}
	if err := checkChoice("--kind", string(o.Kind), kinds); err != nil {
		return err
	}
	for _, f := range builtin.Families() {
		o.Reserved = append(o.Reserved, f.Name)
	}
	project, err := project.New(o)
	if err != nil {
		return err
	}
	p.printf("created %s; %s/README.md describes its files\n", o.Dir, o.Dir)
	if !c.Bool("no-build") {
		if err := p.buildPlugin(c.Context, project); err != nil {
			return err
		}
	}
	p.printf("\nnext:\n  cd %s\n  bridge plugin test .\n  bridge train recipe.toml\n", shell.Path(o.Dir))
	return nil
}

func (p *program) pluginBuildCommand() *cli.Command {
	return &cli.Command{
		Name: "build", Usage: "build an adapter project", ArgsUsage: "DIR",
		UsageText: "bridge plugin build DIR",
		Description: "Runs the [build] command of DIR/plugin.toml in DIR, and prints it. The command runs with your rights: read it\n" +
			"first if someone else wrote it.\n\nExample: bridge plugin build mybackbone",
		Action: func(c *cli.Context) error {
			args, err := arguments(c, 1, 1)
			if err != nil {
				return err
			}
			project, err := project.Open(args[0])
			if err != nil {
				return err
			}
			return p.buildPlugin(c.Context, project)
		},
	}
}

// buildPlugin builds a project with the output of its build on stderr.
func (p *program) buildPlugin(ctx context.Context, project *project.Project) error {
	if err := project.Build(ctx, p.stderr); err != nil {
		return err
	}
	p.printf("built %s\n", project.Program)
	return nil
}
