package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/recipes"
)

func (p *program) recipesCommand() *cli.Command {
	return group("recipes", "what can be trained, as files",
		&cli.Command{
			Name: "list", Usage: "list the recipes that ship", UsageText: "bridge recipes list [--json]",
			Description: "Example: bridge recipes list", Flags: []cli.Flag{jsonFlag()}, Action: p.recipesList,
		},
		&cli.Command{
			Name: "show", Usage: "print a recipe that ships and count its parameters, to begin your own with", ArgsUsage: "NAME", UsageText: "bridge recipes show NAME",
			Description: "Example: bridge recipes show tiny-stage2-opt > mine.toml", Action: p.recipesShow,
		},
		&cli.Command{
			Name: "check", Usage: "check a recipe and print it as it is resolved", ArgsUsage: "FILE", UsageText: "bridge recipes check FILE [--set key=value]...",
			Description: "Example: bridge recipes check mine.toml --set optimizer.lr=1e-4", Flags: []cli.Flag{setFlag()}, Action: p.recipesCheck,
		})
}

func setFlag() cli.Flag {
	return &cli.GenericFlag{Name: "set", Value: &assignments{}, Usage: "`KEY=VALUE` that replaces one of the recipe's; may be repeated"}
}

// assignments collects --set. Unlike urfave/cli's slices it does not split
// values at commas, which TOML arrays hold.
type assignments []string

func (a *assignments) Set(s string) error { *a = append(*a, s); return nil }
func (a *assignments) String() string     { return strings.Join(*a, " ") }

func sets(c *cli.Context) []recipes.Override {
	var all []recipes.Override
	if a, ok := c.Generic("set").(*assignments); ok {
		for _, s := range *a {
			all = append(all, recipes.Override{Assignment: s})
		}
	}
	return all
}

// given is what a flag of its own makes of a recipe.
func given(flag, typed string, assignments ...string) []recipes.Override {
	var all []recipes.Override
	for _, a := range assignments {
		all = append(all, recipes.Override{Assignment: a, Flag: "--" + flag + " " + typed})
	}
	return all
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
		about := firstSentence(recipes.Header(text))
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

// firstSentence is what a header says first.
func firstSentence(header []string) string {
	text, _, _ := strings.Cut(strings.Join(header, " "), ". ")
	text, _, _ = strings.Cut(text, ": ")
	return strings.TrimSuffix(strings.TrimSpace(text), ".")
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
	r, err := recipes.Load(args[0])
	if err != nil {
		return err
	}
	reg, err := p.registry(c.Context)
	if err != nil {
		return err
	}
	counts, err := p.count(c.Context, reg, r)
	if err != nil {
		return err
	}
	_, err = p.stdout.Write(annotated(text, counts.comment()))
	return err
}

func (p *program) recipesCheck(c *cli.Context) error {
	args, err := arguments(c, 1, 1)
	if err != nil {
		return err
	}
	resolved, err := p.resolve(c, args[0])
	if err != nil {
		return err
	}
	text, err := resolved.Encode()
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s", text)
	return nil
}

// resolve loads a recipe with the command line's overrides and looks its models
// up.
func (p *program) resolve(c *cli.Context, nameOrFile string, more ...recipes.Override) (*recipes.Resolved, error) {
	r, err := recipes.LoadWith(nameOrFile, append(more, sets(c)...)...)
	if err != nil {
		return nil, err
	}
	reg, err := p.registry(c.Context)
	if err != nil {
		return nil, err
	}
	return r.Resolve(reg)
}
