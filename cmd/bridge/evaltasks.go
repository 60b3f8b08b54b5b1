package main

import (
	"context"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/eval/benchmark"
	"github.com/modular-bridging/bridge/eval/tasks"
	"github.com/modular-bridging/bridge/runs"
)

func (p *program) evalCommand() *cli.Command {
	return &cli.Command{
		Name: "eval", Usage: "run official benchmarks, and score files of predictions", ArgsUsage: "MODEL TASK...",
		UsageText: "bridge eval MODEL TASK... [--data DIR] [--out DIR] [--limit N] [--seed S] [--batch N] [--fresh] [--backend B] [--json]\n" +
			"bridge eval list|show TASK|score KIND",
		Description: "A TASK is a benchmark (bridge eval list), a group of them, or a file NAME.toml. Each one has a folder in DIR with\n" +
			"samples.jsonl, which has every answer, and result.json. An interrupted evaluation continues with the next sample.\n" +
			"Nothing is downloaded: bridge eval show TASK lists the files that a task reads. docs/evaluation.md has the details.\n\n" +
			"Example: bridge eval runs/demo/warm kit-vqa kit-caption kit-retrieval",
		Flags: append([]cli.Flag{
			dataFlag(),
			&cli.StringFlag{Name: "out", Usage: "`DIR` for a folder of each task (default: RUN/eval, or runs/eval/ and the model's name)"},
			&cli.IntFlag{Name: "limit", DefaultText: "all", Usage: "ask `N` samples of each task, drawn with --seed"},
			&cli.Uint64Flag{Name: "seed", Usage: "`S` draws the samples of --limit"},
			&cli.IntFlag{Name: "batch", Value: benchmark.DefaultBatch, Usage: "`N` samples are asked at once"},
			&cli.BoolFlag{Name: "fresh", Usage: "discard the answers that are there, and start over"},
		}, slices.Concat(lavisFlags(), adapterFlags(), []cli.Flag{backendFlag(), isolationFlag(), transportFlag(), jsonFlag()})...),
		Action:      p.evaluate,
		Subcommands: []*cli.Command{p.evalListCommand(), p.evalShowCommand(), p.evalScoreCommand()},
	}
}

// dataFlag returns the flag for the folder of the tasks' files.
func dataFlag() cli.Flag {
	return &cli.StringFlag{Name: "data", Usage: "`DIR` with the tasks' files and pictures (default: data, and the folder data of bridge's cache)"}
}

func (p *program) evaluate(c *cli.Context) error {
	args, err := arguments(c, 2, -1)
	if err != nil {
		return err
	}
	for flag, least := range map[string]int{"limit": 0, "batch": 1} {
		if c.Int(flag) < least {
			return usagef("--%s is %d, want at least %d", flag, c.Int(flag), least)
		}
	}
	if c.Int("limit") == 0 {
		p.warnWithout(c, "--limit", "seed")
	}
	open, err := openOptions(c, args[0])
	if err != nil {
		return err
	}
	printed := 0
	_, err = runs.Evaluate(c.Context, p.workspace, args[0], runs.EvalOptions{
		Tasks: args[1:], Data: c.String("data"), Out: c.String("out"), Fresh: c.Bool("fresh"), Limit: c.Int("limit"), Seed: c.Uint64("seed"),
		Batch: c.Int("batch"), Open: open,
		Each: func(dir string, r *benchmark.Result) error {
			if c.Bool("json") {
				return p.printJSON(r)
			}
			if printed++; printed > 1 {
				p.printf("\n")
			}
			return p.printEvaluation(dir, r)
		},
		Group: func(g benchmark.Group) error {
			if c.Bool("json") {
				return p.printJSON(g)
			}
			p.printf("\n%s, mean of %d tasks\n\n", g.Name, len(g.Tasks))
			var rows [][]string
			for _, m := range g.Figures {
				rows = append(rows, []string{m.Title, m.Text()})
			}
			return p.table([]string{"", "mean"}, rows)
		},
	})
	if printed > 0 {
		p.printf("\nreport: %s\n", filepath.Join(runs.EvalDir(c.String("out"), args[0]), runs.ReportFile))
	}
	return err
}

// printEvaluation prints the result of a task.
func (p *program) printEvaluation(dir string, r *benchmark.Result) error {
	p.printf("%s\n\n", r.Heading())
	header, rows := r.Table()
	if err := p.table(header, rows); err != nil {
		return err
	}
	for _, line := range r.Remarks() {
		p.printf("\n%s\n", line)
	}
	p.printNotComputed(r.NotComputed)
	p.printf("\nresult: %s\n", dir)
	return nil
}

func (p *program) evalListCommand() *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "list the tasks, and whether their files are there", UsageText: "bridge eval list [--data DIR] [--json]",
		Description: "Example: bridge eval list --data /data",
		Flags:       []cli.Flag{dataFlag(), jsonFlag()}, Action: p.evalList,
	}
}

func (p *program) evalShowCommand() *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "show a task: files, prompts, settings, published figures", ArgsUsage: "TASK",
		UsageText:   "bridge eval show TASK [--data DIR] [--json]",
		Description: "Example: bridge eval show vqav2-val", Flags: []cli.Flag{dataFlag(), jsonFlag()}, Action: p.evalShow,
	}
}

func (p *program) evalList(c *cli.Context) error {
	if _, err := arguments(c, 0, 0); err != nil {
		return err
	}
	shown, err := p.showTasks(c)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		for _, s := range shown {
			if err := p.printJSON(s); err != nil {
				return err
			}
		}
		return nil
	}
	var rows [][]string
	for _, s := range shown {
		rows = append(rows, s.Row())
	}
	return p.table(tasks.ListHeader(), rows)
}

// showTasks describes all tasks, and warns of files that cannot be used.
func (p *program) showTasks(c *cli.Context) ([]tasks.Shown, error) {
	library, err := runs.TaskLibrary()
	if err != nil {
		return nil, err
	}
	for _, problem := range library.Problems() {
		p.log.Warn("a task of your own cannot be used", "error", problem)
	}
	var shown []tasks.Shown
	for _, name := range library.Names() {
		s, err := showTask(c.Context, library, name, c.String("data"))
		if err != nil {
			return nil, err
		}
		shown = append(shown, s)
	}
	return shown, nil
}

func showTask(ctx context.Context, library *tasks.Library, name, data string) (tasks.Shown, error) {
	t, err := library.Task(name)
	if err != nil {
		return tasks.Shown{}, err
	}
	return t.Show(ctx, runs.TaskPlaces(data).WithoutKit())
}

func (p *program) evalShow(c *cli.Context) error {
	args, err := arguments(c, 1, 1)
	if err != nil {
		return err
	}
	library, err := runs.TaskLibrary()
	if err != nil {
		return err
	}
	s, err := showTask(c.Context, library, args[0], c.String("data"))
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return p.printJSON(s)
	}
	for _, line := range s.Lines() {
		p.printf("%s\n", line)
	}
	return nil
}
