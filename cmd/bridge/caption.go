package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/registry"
)

func (p *program) captionCommand() *cli.Command {
	return &cli.Command{
		Name: "caption", Usage: "describe pictures", ArgsUsage: "MODEL IMAGE...",
		UsageText:   "bridge caption MODEL IMAGE... [--prompt TEXT] [generation options] [--encoder ID] [--llm ID] [--encoder-plugin PLUGIN] [--llm-plugin PLUGIN] [--json]",
		Description: "An IMAGE is a PNG, JPEG, GIF or WebP file, or one of the kit's (kit:held-out/17).\n\nExample: bridge caption runs/demo/warm kit:held-out/17 photo.png",
		Flags: append(slices.Concat(generationFlags(), lavisFlags(), adapterFlags()), backendFlag(), isolationFlag(), transportFlag(), jsonFlag(),
			&cli.StringFlag{Name: "prompt", Usage: "`TEXT` that the caption continues (default: the one that the bridge was trained with)"}),
		Action: p.caption,
	}
}

func (p *program) askCommand() *cli.Command {
	return &cli.Command{
		Name: "ask", Usage: "answer a question about a picture", ArgsUsage: "MODEL IMAGE QUESTION",
		UsageText:   "bridge ask MODEL IMAGE QUESTION [generation options] [--encoder ID] [--llm ID] [--encoder-plugin PLUGIN] [--llm-plugin PLUGIN] [--json]",
		Description: "Example: bridge ask runs/demo/warm kit:held-out/17 \"what color is the background?\"",
		Flags:       append(slices.Concat(generationFlags(), lavisFlags(), adapterFlags()), backendFlag(), isolationFlag(), transportFlag(), jsonFlag()),
		Action:      p.ask,
	}
}

// generationFlags have transformers' names, meaning and defaults.
func generationFlags() []cli.Flag {
	return []cli.Flag{
		countFlag("max-new-tokens", 20, 1, "`N` tokens at most"),
		countFlag("min-new-tokens", 0, 0, "`N` tokens at least"),
		countFlag("num-beams", 1, 1, "`N` beams of the search; 1 takes the likeliest token each time"),
		lengthPenaltyFlag(),
		earlyStoppingFlag(),
		factorFlag("repetition-penalty", math.MaxFloat32, "`X`; 1 is none"),
		&cli.BoolFlag{Name: "sample", Usage: "draw tokens instead of taking the likeliest"},
		factorFlag("temperature", math.MaxFloat32, "`X` of sampling"),
		countFlag("top-k", 50, 0, "`N` likeliest tokens to draw from; 0 is all"),
		factorFlag("top-p", 1, "`X` of probability to draw from"),
		&cli.Uint64Flag{Name: "seed", Usage: "`N` of sampling"},
	}
}

func countFlag(name string, value, least int, usage string) cli.Flag {
	return &cli.IntFlag{Name: name, Value: value, Usage: usage, Action: func(_ *cli.Context, got int) error {
		if got < least {
			return usagef("--%s is %d, want at least %d", name, got, least)
		}
		return nil
	}}
}

func lengthPenaltyFlag() cli.Flag {
	return &cli.Float64Flag{
		Name: "length-penalty", Value: 1, Usage: "`X` of beams: an answer's log-probability is divided by its length to this power; above 0 favours long ones",
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
		Name: "early-stopping", Value: "false", Usage: "`WHEN` beams end: true, with as many answers as beams; false, when a better one is unlikely; never, when there can be none",
		Action: func(_ *cli.Context, got string) error {
			if _, err := adapters.ParseEarlyStopping(got); err != nil {
				return usagef("--early-stopping is %q, want true, false or never", got)
			}
			return nil
		},
	}
}

// factorFlag is a flag for a number above 0, 1 where it is not given.
func factorFlag(name string, most float64, usage string) cli.Flag {
	want := "a number above 0"
	if most < math.MaxFloat32 {
		want += fmt.Sprintf(" and at most %v", most)
	}
	return &cli.Float64Flag{Name: name, Value: 1, Usage: usage, Action: func(_ *cli.Context, got float64) error {
		if got > 0 && got <= most {
			return nil
		}
		return usagef("--%s is %v, want %s", name, got, want)
	}}
}

// generation reads the generation flags. What makes no sense together is wrong
// usage; what has no effect is warned of.
func (p *program) generation(c *cli.Context) (bridge.GenerateOptions, error) {
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
	if o.MinNewTokens > o.MaxNewTokens {
		return o, usagef("--min-new-tokens is %d, want at most --max-new-tokens, %d", o.MinNewTokens, o.MaxNewTokens)
	}
	if o.Sample && o.NumBeams > 1 {
		return o, usagef("--sample and --num-beams %d exclude each other", o.NumBeams)
	}
	without := func(needs string, names ...string) {
		for _, name := range names {
			if c.IsSet(name) {
				p.log.Warn(fmt.Sprintf("--%s has no effect without %s", name, needs))
			}
		}
	}
	if !o.Sample {
		without("--sample", "temperature", "top-k", "top-p", "seed")
	}
	if o.NumBeams == 1 {
		without("--num-beams of 2 or more", "length-penalty", "early-stopping")
	}
	return o, nil
}

// openModel opens a stage-2 bridge with both frozen sides.
func (p *program) openModel(c *cli.Context, name string) (m *bridge.Model, done func(), err error) {
	dir, err := p.modelDir(c, name)
	if err != nil {
		return nil, nil, err
	}
	info, err := p.readInfo(dir)
	if err != nil {
		return nil, nil, err
	}
	if info.Stage != 2 {
		return nil, nil, adapters.Errorf(adapters.Unsupported, "%s is a stage-1 bridge, which has no language model to write with", name).
			WithRemedy("train stage 2 from it: bridge train RECIPE --set from=%s", name)
	}
	return p.openParts(c, dir, info, "")
}

// openParts opens the bridge in a folder, of either stage, and its frozen sides.
// An empty dtype is theirs.
func (p *program) openParts(c *cli.Context, dir string, info bridge.Info, dtype string) (m *bridge.Model, done func(), err error) {
	var closers []func()
	closeAll := func() {
		for i := len(closers) - 1; i >= 0; i-- {
			closers[i]()
		}
	}
	defer func() {
		if err != nil {
			closeAll()
		}
	}()
	vision, language, err := p.openSides(c, dir, info, dtype)
	if vision != nil {
		closers = append(closers, p.closing(vision))
	}
	if err != nil {
		return nil, nil, err
	}
	if language != nil {
		closers = append(closers, p.closing(language))
	}
	backend, err := backends.Open(c.String("backend"))
	if err != nil {
		return nil, nil, err
	}
	b, err := bridge.Load(c.Context, backend, dir)
	if err != nil {
		return nil, nil, err
	}
	closers = append(closers, b.Close)
	m, err = bridge.Compose(b, vision, language, p.log)
	return m, closeAll, err
}

// openSides opens the frozen models that a bridge names; the language model is
// nil in stage 1. On an error the encoder may be open already.
func (p *program) openSides(c *cli.Context, dir string, info bridge.Info, dtype string) (adapters.VisionEncoder, adapters.LanguageModel, error) {
	reg, err := p.registry(c.Context)
	if err != nil {
		return nil, nil, err
	}
	ofVision, ofLanguage, err := wishesOf(dir)
	if err != nil {
		return nil, nil, err
	}
	if info, err = otherAdapters(c, reg, info); err != nil {
		return nil, nil, err
	}
	vo, err := openingOfSide(reg, info.Vision, adapters.KindVision, c.String("backend"), c.String("isolation"))
	if err != nil {
		return nil, nil, err
	}
	vo.ask(ofVision)
	vo.dtype, vo.transport = dtype, c.String("transport")
	if info.Vision.Layer != 0 {
		vo.layer = &info.Vision.Layer
	}
	if info.Language == nil {
		vision, err := p.openVision(c.Context, reg, vo)
		return vision, nil, err
	}
	lo, err := openingOfSide(reg, *info.Language, adapters.KindLanguage, c.String("backend"), c.String("isolation"))
	if err != nil {
		return nil, nil, err
	}
	lo.ask(ofLanguage)
	lo.dtype, lo.transport = dtype, c.String("transport")
	vision, err := p.openVision(c.Context, reg, vo)
	if err != nil {
		return nil, nil, err
	}
	language, err := p.openLanguage(c.Context, reg, lo)
	if err == nil {
		p.warnOtherWords(lo.model, *info.Language)
	}
	return vision, language, err
}

// warnOtherWords warns of another tokenizer than the bridge was trained with: the
// language model's weights may still be the same.
func (p *program) warnOtherWords(model registry.Backbone, trained bridge.Side) {
	if trained.TokenizerDigest == "" {
		return
	}
	if now, err := wordsDigest(model); err == nil && now != "" && now != trained.TokenizerDigest {
		p.log.Warn("language model has another tokenizer than the bridge was trained with", "language model", model.ID)
	}
}

// captionBatch is how many pictures are captioned at once.
const captionBatch = 32

func (p *program) caption(c *cli.Context) error {
	args, err := arguments(c, 2, -1)
	if err != nil {
		return err
	}
	options, err := p.generation(c)
	if err != nil {
		return err
	}
	m, done, err := p.openModel(c, args[0])
	if err != nil {
		return err
	}
	defer done()
	prompt := m.Info.Templates.Caption
	if c.IsSet("prompt") {
		prompt = c.String("prompt")
	}
	var broken error
	for images := args[1:]; len(images) > 0; images = images[min(captionBatch, len(images)):] {
		failed, err := p.captionSome(c, m, images[:min(captionBatch, len(images))], prompt, options)
		if err != nil {
			return err
		}
		broken = errors.Join(broken, failed)
	}
	return broken
}

// captionSome captions a batch. Pictures that cannot be read are returned as
// failed; the others are captioned all the same.
func (p *program) captionSome(c *cli.Context, m *bridge.Model, images []string, prompt string, o bridge.GenerateOptions) (failed, err error) {
	spec := m.Vision.Spec().Image
	var names []string
	var pictures [][]uint8
	for _, name := range images {
		picture, err := readPicture(name, spec)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		names, pictures = append(names, name), append(pictures, picture)
	}
	if len(pictures) == 0 {
		return failed, nil
	}
	texts, err := captionAll(c.Context, m, stack(pictures, spec), prompt, o)
	if err != nil {
		return failed, err
	}
	for i, text := range texts {
		if c.Bool("json") {
			err = p.printJSON(map[string]string{"image": names[i], "caption": text})
		} else {
			_, err = fmt.Fprintf(p.stdout, "%s\t%s\n", names[i], text)
		}
		if err != nil {
			return failed, err
		}
	}
	return failed, nil
}

func captionAll(ctx context.Context, m *bridge.Model, images *adapters.Tensor, prompt string, o bridge.GenerateOptions) ([]string, error) {
	features, err := m.Encode(ctx, images)
	if err != nil {
		return nil, err
	}
	return m.CaptionFeatures(ctx, features, prompt, o)
}

// readPicture reads a picture file, or one of the kit's pictures
// ("kit:held-out/17"), at the encoder's size.
func readPicture(name string, spec adapters.ImageSpec) ([]uint8, error) {
	place, ok := strings.CutPrefix(name, "kit:")
	if !ok {
		return data.ReadImage(name, spec)
	}
	split, number, _ := strings.Cut(place, "/")
	d, err := data.OpenKit(kit.Split(split), 0, spec)
	if err != nil {
		return nil, err
	}
	i, err := strconv.Atoi(number)
	if err != nil || i < 0 || i >= d.Len() {
		return nil, adapters.Errorf(adapters.NotFound, "no picture %q, want kit:%s/0 to kit:%s/%d", name, split, split, d.Len()-1)
	}
	return d.Image(i)
}

func (p *program) ask(c *cli.Context) error {
	args, err := arguments(c, 3, 3)
	if err != nil {
		return err
	}
	if strings.TrimSpace(args[2]) == "" {
		return usagef("the QUESTION is empty")
	}
	options, err := p.generation(c)
	if err != nil {
		return err
	}
	m, done, err := p.openModel(c, args[0])
	if err != nil {
		return err
	}
	defer done()
	spec := m.Vision.Spec().Image
	picture, err := readPicture(args[1], spec)
	if err != nil {
		return err
	}
	answers, err := m.Answer(c.Context, stack([][]uint8{picture}, spec), args[2:], options)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return p.printJSON(map[string]string{"image": args[1], "question": args[2], "answer": answers[0]})
	}
	fmt.Fprintln(p.stdout, answers[0])
	return nil
}
