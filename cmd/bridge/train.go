package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/checkpoint"
	"github.com/modular-bridging/bridge/train/metrics"
)

func (p *program) trainCommand() *cli.Command {
	return &cli.Command{
		Name: "train", Usage: "train a bridge as a recipe says", ArgsUsage: "RECIPE",
		UsageText:   "bridge train RECIPE [--set key=value]... [--out RUN] [--resume] [--backend B]",
		Description: "RECIPE is a file, or the name of one that ships (bridge recipes list).\n\nExample: bridge train tiny-stage1 --set optimizer.steps=200 --out runs/mine",
		Flags:       append(runFlags(), setFlag()),
		Action: func(c *cli.Context) error {
			args, err := arguments(c, 1, 1)
			if err != nil {
				return err
			}
			r, err := p.resolve(c, args[0], backendSet(c)...)
			if err != nil {
				return err
			}
			return p.runToEnd(c, r)
		},
	}
}

// runFlags are the flags of commands that make a run folder.
func runFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "out", Usage: "`RUN` folder to write (default: runs/ and the recipe's name)"},
		&cli.BoolFlag{Name: "resume", Usage: "go on with the run in the folder from its newest checkpoint"},
		backendFlag(), jsonFlag(),
	}
}

// backendSet turns --backend into an override of the recipe.
func backendSet(c *cli.Context) []recipes.Override {
	if b := c.String("backend"); b != "" {
		return given("backend", b, "run.backend="+b)
	}
	return nil
}

// runToEnd trains as the recipe says and prints what came out.
func (p *program) runToEnd(c *cli.Context, r *recipes.Resolved) error {
	dir := c.String("out")
	if dir == "" {
		dir = filepath.Join("runs", r.Name)
	}
	claim := claimNew
	if c.Bool("resume") {
		claim = claimOld
	}
	out, err := p.trainIn(c.Context, r, dir, claim, c.Bool("resume"))
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return p.printJSON(out.summary)
	}
	if err := p.printSummaries([]summary{out.summary}); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "\nrun:    %s\nreport: %s\n", dir, filepath.Join(dir, reportFile))
	return nil
}

// trainIn claims a run folder, opens what the recipe names and trains.
func (p *program) trainIn(ctx context.Context, r *recipes.Resolved, dir string, take claim, resume bool) (out outcome, err error) {
	err = p.inRun(ctx, dir, take, func() error {
		b, err := p.openBench(ctx, r)
		if err != nil {
			return err
		}
		defer b.close()
		out, err = b.train1(ctx, r, dir, resume)
		return err
	})
	return out, err
}

// outcome is a finished run.
type outcome struct {
	summary summary
	result  train.Result
}

// train1 does one run of the recipe, which has the bench's models and data,
// into dir, which is claimed. What is quick to fail comes before the features are computed.
func (b *bench) train1(ctx context.Context, r *recipes.Resolved, dir string, resume bool) (out outcome, err error) {
	if resume {
		if err := sameRecipe(dir, r); err != nil {
			return out, err
		}
	}
	trained, spent, err := b.start(ctx, r, resume && hasCheckpoint(dir))
	if err != nil {
		return out, err
	}
	defer trained.Close()
	s := &train.Session{Plan: r.Plan(), Bridge: trained, Language: b.language, Train: b.train, Eval: b.held,
		Dir: dir, Keep: r.Run.Keep, Resume: resume, SetupTime: spent, Progress: b.program.progress(), Log: b.program.log}
	if err := s.Check(); err != nil {
		return out, err
	}
	if err := b.record(r, dir, resume); err != nil {
		return out, err
	}
	toGoOn := func() {
		b.program.log.Info("to go on: bridge train " + filepath.Join(dir, recipeFile) + " --out " + dir + " --resume")
	}
	defer b.program.rescue.by(func() error {
		defer toGoOn()
		b.program.log.Info("the run was interrupted", "where", "in a computation that cannot be interrupted")
		return s.Rescue()
	})()
	if out.result, err = b.run(ctx, s); err != nil {
		toGoOn()
		return out, err
	}
	out.summary = b.summarize(r, trained, out.result)
	return out, b.writeResults(r, dir, out)
}

// record keeps in the run folder what the run is.
func (b *bench) record(r *recipes.Resolved, dir string, resume bool) error {
	now, err := b.lock()
	if err != nil {
		return err
	}
	if err := lock(dir, now, resume); err != nil {
		return err
	}
	if resume {
		return nil
	}
	return writeRecipe(dir, r)
}

// run computes the features that are not there yet, and trains with metrics.
func (b *bench) run(ctx context.Context, s *train.Session) (train.Result, error) {
	if err := b.fill(ctx, b.train, s.TrainRows()); err != nil {
		return train.Result{}, err
	}
	if err := b.fill(ctx, b.held, s.EvalRows()); err != nil {
		return train.Result{}, err
	}
	figures, err := metrics.Open(s.Dir)
	if err != nil {
		return train.Result{}, err
	}
	defer b.program.closing(figures)()
	s.Metrics = figures
	return s.Run(ctx)
}

func (b *bench) writeResults(r *recipes.Resolved, dir string, out outcome) error {
	if err := writeJSON(filepath.Join(dir, resultFile), out.result); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(dir, summaryFile), out.summary); err != nil {
		return err
	}
	page, err := b.report(r.Name+": "+r.VisionModel.ID+" and "+out.summary.LLM, []arm{{r.Name, out}})
	if err != nil {
		return err
	}
	return page.WriteFile(filepath.Join(dir, reportFile))
}

func hasCheckpoint(dir string) bool {
	_, _, err := checkpoint.Latest(filepath.Join(dir, "checkpoints"))
	return err == nil
}
