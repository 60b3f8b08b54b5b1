package main

import (
	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/workspace"
)

func (p *program) modelsMeasureCommand() *cli.Command {
	return &cli.Command{
		Name: "measure", Usage: "measure how fast a model encodes pictures or generates tokens", ArgsUsage: "ID",
		UsageText: "bridge models measure ID [--batch N] [--tokens N] [--calls N] [--dtype TYPE] [--backend B] [--isolation process|none] [--json]",
		Description: "A first call compiles; the figures are the median of the calls after it. A folder with config.json and\n" +
			"random_weights.json measures a model without its weights.\n\nExample: bridge models measure tiny-opt --batch 8",
		Flags: []cli.Flag{backendFlag(), isolationFlag(), transportFlag(), jsonFlag(),
			countFlag("batch", 8, 1, "pictures or answers `N` of a call"),
			countFlag("tokens", 32, 1, "generated tokens `N` of an answer"),
			countFlag("calls", 3, 1, "number `N` of calls that count"),
			&cli.StringFlag{Name: "dtype", Usage: "compute in `TYPE`: float32 or bfloat16 (default: the model's)"}},
		Action: p.modelsMeasure,
	}
}

func (p *program) modelsMeasure(c *cli.Context) error {
	args, err := arguments(c, 1, 1)
	if err != nil {
		return err
	}
	m, err := p.workspace.Measure(c.Context, args[0], workspace.MeasureOptions{
		Backend: c.String("backend"), Isolation: c.String("isolation"), Transport: c.String("transport"), DType: c.String("dtype"),
		Batch: c.Int("batch"), Tokens: c.Int("tokens"), Calls: c.Int("calls")})
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return p.printJSON(m)
	}
	speed := "tokens/s"
	rate := m.Tokens
	if m.Kind == adapters.KindVision {
		speed, rate = "pictures/s", m.Pictures
	}
	p.printf("%s on %s in %s, batch %d: %.1f %s; a call %.3f s, the first %.1f s, loading %.1f s\n",
		m.ID, m.Backend, m.DType, m.Batch, rate, speed, m.Call, m.First, m.Load)
	return nil
}
