package main

import (
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/eval/metrics/resample"
	"github.com/modular-bridging/bridge/eval/score"
	"github.com/modular-bridging/bridge/runs"
)

func (p *program) evalScoreCommand() *cli.Command {
	return group("score", "score a file of predictions, without a model",
		p.scoreCommand(score.VQA, "PREDICTIONS", "answers of VQAv2, OK-VQA, VizWiz, TextVQA by VQA accuracy",
			"bridge eval score vqa answers.json --questions questions.json --annotations annotations.json --variant lavis",
			fileFlag("questions", "questions; checked against the annotations"), needed("annotations", "the answers of people"),
			variantFlag("rule of VQA accuracy: official, lavis, always, evalai or vizwiz")),
		p.scoreCommand(score.Captions, "PREDICTIONS", "captions by BLEU, ROUGE-L, CIDEr-D, METEOR and SPICE",
			"bridge eval score captions captions.json --references captions_val2014.json",
			needed("references", "people's captions, in COCO's layout"),
			&cli.StringFlag{Name: "tokenizer", Usage: "`NAME` of the tokenizer: ptb (default), none (texts are tokenised) or ptb-jar (the official program)"},
			&cli.StringFlag{Name: "metrics", Usage: "`NAMES` with commas of bleu, rouge_l, cider_d, meteor, spice (default: all that are installed)"}),
		p.scoreCommand(score.GQA, "PREDICTIONS", "answers of GQA by exact match",
			"bridge eval score gqa predictions.json --questions testdev_balanced_questions.json",
			needed("questions", "GQA's questions, with answers"), variantFlag("rule: official, or lavis (both sides are normalised)")),
		p.scoreCommand(score.AOKVQA, "PREDICTIONS", "A-OKVQA: multiple choice and direct answers",
			"bridge eval score aokvqa predictions.json --annotations aokvqa_v1p0_val.json", needed("annotations", "A-OKVQA's questions, with answers")),
		p.scoreCommand(score.Answerability, "PREDICTIONS", "how well VizWiz's unanswerable questions are recognised",
			"bridge eval score vizwiz-answerability answers.json --annotations val.json", needed("annotations", "VizWiz's own file of a split")),
		p.scoreCommand(score.POPE, "PREDICTIONS", "yes and no for objects in pictures (POPE)",
			"bridge eval score pope answers.jsonl --annotations coco_pope_random.json", needed("annotations", "POPE's questions, with labels")),
		p.scoreCommand(score.MME, "FOLDER", "MME, from a folder with a file for each category",
			"bridge eval score mme results"),
		p.scoreCommand(score.ScienceQA, "PREDICTIONS", "letters of ScienceQA's choices",
			"bridge eval score scienceqa answers.json --questions problems.json --splits pid_splits.json",
			needed("questions", "problems.json"), fileFlag("splits", "pid_splits.json"),
			&cli.StringFlag{Name: "split", Value: "test", Usage: "`NAME` of the split in --splits"}),
		p.scoreCommand(score.VSR, "PREDICTIONS", "true and false captions about places (VSR), by accuracy",
			"bridge eval score vsr preds.txt --annotations test.jsonl", needed("annotations", "VSR's captions, with labels")),
		p.scoreCommand(score.HatefulMemes, "PREDICTIONS.csv", "probabilities of HatefulMemes by ROC-AUC",
			"bridge eval score hatefulmemes submission.csv --annotations dev_seen.jsonl", needed("annotations", "the memes, with labels")),
		p.scoreCommand(score.Winoground, "SCORES", "Winoground, from the four scores of each example",
			"bridge eval score winoground scores.jsonl --annotations examples.jsonl", needed("annotations", "Winoground's examples")),
		p.scoreCommand(score.Retrieval, "MATRIX.npy", "recall of pictures and texts, from similarities [pictures, texts]",
			"bridge eval score retrieval i2t.npy --annotations flickr30k_test.json",
			needed("annotations", "pictures and their captions, in LAVIS's layout"),
			fileFlag("text-to-image", "similarities [texts, pictures], if they differ, as after re-ranking (default: the same ones)")),
	)
}

// fileFlag returns a flag for a file that may be missing.
func fileFlag(name, usage string) cli.Flag {
	return &cli.StringFlag{Name: name, Usage: "`FILE` with " + usage}
}

// neededFlag is a flag for a file that must be given.
type neededFlag struct{ *cli.StringFlag }

// needed returns a flag for a file that must be given.
func needed(name, usage string) cli.Flag {
	return neededFlag{&cli.StringFlag{Name: name, Usage: "`FILE` with " + usage + " (needed)"}}
}

// checkNeeded returns an error for a missing flag that must be given.
func checkNeeded(c *cli.Context) error {
	for _, f := range c.Command.Flags {
		if _, ok := f.(neededFlag); ok && c.String(f.Names()[0]) == "" {
			return usagef("%s needs --%s FILE", strings.TrimPrefix(c.Command.HelpName, "bridge "), f.Names()[0])
		}
	}
	return nil
}

func variantFlag(usage string) cli.Flag {
	return &cli.StringFlag{Name: "variant", Usage: "`NAME` of the " + usage + " (default: official)"}
}

// scoreCommand returns the command that scores one kind of benchmark.
func (p *program) scoreCommand(kind, args, usage, example string, flags ...cli.Flag) *cli.Command {
	return &cli.Command{
		Name: kind, Usage: usage, ArgsUsage: args, UsageText: strings.Join([]string{"bridge", "eval", "score", kind, args, "[options]"}, " "),
		Description: "Files may be compressed (.gz). Layouts: docs/evaluation.md.\n\nExample: " + example,
		Flags: append(flags,
			&cli.StringFlag{Name: "against", Usage: "`" + args + "` of another model on the same samples, to compare with (paired test)"},
			&cli.BoolFlag{Name: "allow-missing", Usage: "let questions without a prediction count 0"}, jsonFlag()),
		Action: func(c *cli.Context) error { return p.score(c, kind) },
	}
}

func (p *program) score(c *cli.Context, kind string) error {
	args, err := arguments(c, 1, 1)
	if err != nil {
		return err
	}
	if err := checkNeeded(c); err != nil {
		return err
	}
	o := score.Options{
		Predictions: args[0], Against: c.String("against"), Questions: c.String("questions"), Annotations: c.String("annotations"),
		References: c.String("references"), Splits: c.String("splits"), Split: c.String("split"), TextScores: c.String("text-to-image"),
		Variant: c.String("variant"), Tokenizer: c.String("tokenizer"), AllowMissing: c.Bool("allow-missing"), Jars: runs.CaptionJars(),
	}
	if names := c.String("metrics"); names != "" {
		o.Metrics = strings.Split(names, ",")
	}
	debug.SetGCPercent(400) // the process ends soon: collecting often would take a fifth of its time
	r, err := score.Score(c.Context, kind, o)
	if err != nil {
		return err
	}
	for _, note := range r.Counts.Notes {
		p.log.Warn(note)
	}
	if c.Bool("json") {
		return p.printJSON(r)
	}
	return p.printResult(r)
}

// printResult prints a table of figures with their intervals.
func (p *program) printResult(r *score.Result) error {
	p.printf("%s", r.Task)
	for _, s := range r.Settings {
		p.printf(", %s %s", s.Key, s.Value)
	}
	p.printf(", n = %d\n\n", r.N)
	header, rows := []string{"", "value", "95 % interval", "n"}, [][]string{}
	for _, f := range r.Figures {
		name := f.Title
		if f.By != "" {
			name = "  " + strings.ReplaceAll(f.By, "_", " ") + ": " + f.Name
		}
		rows = append(rows, []string{name, figureText(f, f.Value()), intervalText(f, f.Interval()), fmt.Sprint(f.N())})
	}
	if err := p.table(header, rows); err != nil {
		return err
	}
	p.printNotComputed(r.NotComputed)
	return p.printAgainst(r)
}

// printNotComputed says why figures are not there, by their keys.
func (p *program) printNotComputed(why map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(why)) {
		p.printf("\n%s: %s\n", key, why[key])
	}
}

// printAgainst prints the comparison with other predictions.
func (p *program) printAgainst(r *score.Result) error {
	if r.Against == nil {
		return nil
	}
	p.printf("\nagainst %s\n\n", r.Against.Path)
	rows := [][]string{}
	for _, f := range r.Figures {
		if c, ok := r.Against.Comparisons[f.Key]; ok && f.By == "" {
			rows = append(rows, []string{f.Title, figureText(f, f.Value()-c.Difference), figureText(f, c.Difference), intervalText(f, c.Interval), fmt.Sprintf("%.3f", c.P)})
		}
	}
	return p.table([]string{"", "other", "difference", "95 % interval", "p"}, rows)
}

func figureText(f score.Figure, value float64) string { return score.FigureText(value, f.Percent) }

func intervalText(f score.Figure, i resample.Interval) string {
	return figureText(f, i.Low) + " to " + figureText(f, i.High)
}
