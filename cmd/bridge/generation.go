package main

import (
	"fmt"
	"math"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
)

// generationFlags returns the flags of text generation. Their names, meanings and defaults are
// those of transformers.
func generationFlags() []cli.Flag {
	return []cli.Flag{
		countFlag("max-new-tokens", 20, 1, "generate at most `N` tokens"),
		countFlag("min-new-tokens", 0, 0, "generate at least `N` tokens"),
		countFlag("num-beams", 1, 1, "number `N` of beams in beam search; 1 takes the likeliest token at each step"),
		lengthPenaltyFlag(),
		earlyStoppingFlag(),
		factorFlag("repetition-penalty", math.MaxFloat32, "penalty `X` on repeated tokens; 1 is no penalty"),
		&cli.BoolFlag{Name: "sample", Usage: "sample tokens instead of taking the likeliest"},
		factorFlag("temperature", math.MaxFloat32, "sampling temperature `X`"),
		countFlag("top-k", 50, 0, "sample from the `N` likeliest tokens; 0 is all"),
		factorFlag("top-p", 1, "sample from the likeliest tokens with total probability `X`"),
		&cli.Uint64Flag{Name: "seed", Usage: "seed `N` of sampling"},
	}
}

func lengthPenaltyFlag() cli.Flag {
	return &cli.Float64Flag{
		Name: "length-penalty", Value: 1,
		Usage: "exponent `X` of beam search: an answer's log-probability is divided by its length to the power X; " +
			"X above 0 favours long answers",
		Action: func(_ *cli.Context, got float64) error {
			if got-got != 0 {
				return usagef("--length-penalty is %v, want a finite number", got)
			}
			return nil
		},
	}
}

func earlyStoppingFlag() cli.Flag {
	return &cli.StringFlag{
		Name: "early-stopping", Value: "false",
		Usage: "`WHEN` beam search stops: true, with as many answers as beams; false, when a better answer is unlikely; " +
			"never, when no better answer is possible",
		Action: func(_ *cli.Context, got string) error {
			if _, err := adapters.ParseEarlyStopping(got); err != nil {
				return usagef("--early-stopping is %q, want true, false or never", got)
			}
			return nil
		},
	}
}

// generateOptions reads the generation flags. Contradictory flags are wrong usage. It warns of
// flags that have no effect.
func (p *program) generateOptions(c *cli.Context) (bridge.GenerateOptions, error) {
	lengthPenalty := c.Float64("length-penalty")
	early, err := adapters.ParseEarlyStopping(c.String("early-stopping"))
	if err != nil {
		return bridge.GenerateOptions{}, err
	}
	o := bridge.GenerateOptions{
		MaxNewTokens: c.Int("max-new-tokens"), MinNewTokens: c.Int("min-new-tokens"),
		NumBeams: c.Int("num-beams"), LengthPenalty: &lengthPenalty, EarlyStopping: early,
		RepetitionPenalty: c.Float64("repetition-penalty"), Sample: c.Bool("sample"), Temperature: c.Float64("temperature"),
		TopK: c.Int("top-k"), TopP: c.Float64("top-p"), Seed: c.Uint64("seed"),
	}
	leaveToModel(c, &o)
	if o.MinNewTokens > o.MaxNewTokens {
		return o, usagef("--min-new-tokens is %d, want at most --max-new-tokens, %d", o.MinNewTokens, o.MaxNewTokens)
	}
	if o.Sample && o.NumBeams > 1 {
		return o, usagef("--sample cannot be combined with --num-beams %d", o.NumBeams)
	}
	if !o.Sample {
		p.warnWithout(c, "--sample", "temperature", "top-k", "top-p", "seed")
	}
	if o.NumBeams <= 1 {
		p.warnWithout(c, "--num-beams of 2 or more", "length-penalty", "early-stopping")
	}
	return o, nil
}

// leaveToModel resets options that no flag names: the model's generation_config.json decides
// them, or else they have the flags' defaults.
func leaveToModel(c *cli.Context, o *bridge.GenerateOptions) {
	for flag, reset := range map[string]func(){
		"num-beams":          func() { o.NumBeams = 0 },
		"length-penalty":     func() { o.LengthPenalty = nil },
		"repetition-penalty": func() { o.RepetitionPenalty = 0 },
		"temperature":        func() { o.Temperature = 0 },
		"top-p":              func() { o.TopP = 0 },
	} {
		if !c.IsSet(flag) {
			reset()
		}
	}
}

// warnWithout warns of flags that have no effect without another flag.
func (p *program) warnWithout(c *cli.Context, needed string, flags ...string) {
	for _, name := range flags {
		if c.IsSet(name) {
			p.log.Warn(fmt.Sprintf("--%s has no effect without %s", name, needed))
		}
	}
}
