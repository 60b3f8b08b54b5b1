package main

import (
	"fmt"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/registry"
)

func (p *program) compareCommand() *cli.Command {
	return &cli.Command{
		Name: "compare", Usage: "put finished runs side by side", ArgsUsage: "RUN...", UsageText: "bridge compare RUN... [--json]",
		Description: "Example: bridge compare runs/demo/warm runs/demo/cold",
		Flags:       []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error {
			runs, err := arguments(c, 1, -1)
			if err != nil {
				return err
			}
			var all []summary
			for _, run := range runs {
				s, err := readSummary(run)
				if err != nil {
					return err
				}
				all = append(all, s)
			}
			if !c.Bool("json") {
				return p.printSummaries(all)
			}
			for _, s := range all {
				if err := p.printJSON(s); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// summaryHeader names the columns of [summary.cells].
func summaryHeader() []string {
	return []string{"run", "encoder", "llm", "trainable", "steps", "seconds", "held-out loss", "exact match", "retrieval R@1"}
}

func (s summary) cells() []string {
	return []string{s.Name, s.Encoder, orDash(s.LLM), registry.Count(int64(s.Trainable)), strconv.Itoa(s.Steps),
		fmt.Sprintf("%.0f", s.Seconds), decimals(s.HeldOut), decimals(s.ExactMatch), decimals(s.RetrievalT)}
}

func (p *program) printSummaries(all []summary) error {
	var rows [][]string
	for _, s := range all {
		rows = append(rows, s.cells())
	}
	return p.table(summaryHeader(), rows)
}

func decimals(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.3f", *v)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
