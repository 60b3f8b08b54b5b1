package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/builtin"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/convert"
	"github.com/modular-bridging/bridge/internal/atomicfile"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/weights"
	"github.com/modular-bridging/bridge/registry"
)

// The values of --to.
const (
	toHuggingFace = "huggingface"
	toBridge      = "bridge"
)

func (p *program) convertCommand() *cli.Command {
	return &cli.Command{
		Name: "convert", Usage: "write a whole bridge as a folder of transformers, or of bridge", ArgsUsage: "FROM TO",
		UsageText: "bridge convert FROM TO [--to huggingface|bridge] [--encoder ID] [--llm ID] [--tokenizer DIR]",
		Description: "FROM is a MODEL, or a .pth file of LAVIS: a BLIP-2 of stage 1 or 2, or the encoder eva_vit_g.pth. A .pth file is read\n" +
			"without executing anything of it; the models that it was trained with and does not hold are named with --encoder and --llm.\n" +
			"TO is the folder that is made. It is one of transformers (Blip2ForConditionalGeneration, Blip2ForImageTextRetrieval,\n" +
			"Blip2VisionModel), which is a MODEL too; with --to bridge it holds the trained part alone.\n\n" +
			"Example: bridge convert runs/mine blip2-mine\n         bridge convert blip2_pretrained_flant5xl.pth blip2-xl --llm flant5-xl --encoder eva-vit-g",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "to", Value: toHuggingFace, Usage: "`FORM` of the folder: huggingface or bridge", Action: func(_ *cli.Context, to string) error {
				if to != toHuggingFace && to != toBridge {
					return usagef("--to is %q, want huggingface or bridge", to)
				}
				return nil
			}},
			&cli.StringFlag{Name: "tokenizer", Usage: "`DIR` with the tokenizer.json of bert-base-uncased, for a .pth file of stage 1"},
		}, lavisFlags()...),
		Action: p.convert,
	}
}

func (p *program) convert(c *cli.Context) error {
	args, err := arguments(c, 2, 2)
	if err != nil {
		return err
	}
	from, to := args[0], args[1]
	if isFile(from) {
		return p.convertLAVIS(c, from, to)
	}
	if err := refuseLAVISFlags(c, from); err != nil {
		return err
	}
	dir, err := bridgeDir(c.Context, from)
	if err != nil {
		return err
	}
	if c.String("to") == toBridge {
		b, err := p.loadForConversion(c, dir)
		if err != nil {
			return err
		}
		defer b.Close()
		return p.saveBridge(b, to)
	}
	if _, err := os.Stat(filepath.Join(dir, "bridge.json")); err != nil {
		if _, err := os.Stat(filepath.Join(dir, "config.json")); err == nil {
			checkpoint, err := convert.FromFolder(c.Context, dir, builtin.Families())
			if err != nil {
				return err
			}
			return p.writeCheckpoint(c.Context, checkpoint, to)
		}
	}
	return p.convertRun(c, dir, to)
}

// loadForConversion reads a bridge's weights; nothing is computed with them.
func (p *program) loadForConversion(c *cli.Context, dir string) (*bridge.Bridge, error) {
	backend, err := backends.Open(backends.Go)
	if err != nil {
		return nil, err
	}
	return bridge.Load(c.Context, backend, dir)
}

// saveBridge writes the trained part alone, whole or not at all.
func (p *program) saveBridge(b *bridge.Bridge, to string) error {
	b.Info.Project = projectFolder()
	if err := atomicfile.Dir(to, func(dir string) error { return b.Save(dir, adapters.Float32) }); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s: a bridge of stage %d\n", to, b.Info.Stage)
	return nil
}

// convertRun joins the bridge in a folder with the frozen models that it names.
func (p *program) convertRun(c *cli.Context, dir, to string) error {
	info, err := p.readInfo(dir)
	if err != nil {
		return err
	}
	reg, err := p.registry(c.Context)
	if err != nil {
		return err
	}
	parts := convert.Parts{Image: info.Vision.Image}
	if parts.Vision, err = sideFolder(reg, info.Vision, adapters.KindVision); err != nil {
		return err
	}
	if info.Language != nil {
		if parts.Language, err = sideFolder(reg, *info.Language, adapters.KindLanguage); err != nil {
			return err
		}
	}
	b, err := p.loadForConversion(c, dir)
	if err != nil {
		return err
	}
	defer b.Close()
	return p.assemble(c, b, parts, to)
}

// sideFolder finds the checkpoint of a frozen model that a bridge names.
func sideFolder(reg *registry.Registry, side bridge.Side, kind adapters.ModelKind) (string, error) {
	if side.Plugin != "" {
		return "", adapters.Errorf(adapters.Unsupported, "the %s %s is behind a plugin, %s, and transformers cannot load it", kind, side.ID, side.Plugin).
			WithRemedy("keep the run as it is: every command of bridge takes it as a MODEL")
	}
	o, err := openingOfSide(reg, side, kind, "", "")
	if err != nil {
		return "", err
	}
	return o.model.Folder()
}

func (p *program) assemble(c *cli.Context, b *bridge.Bridge, parts convert.Parts, to string) error {
	parts.Families = builtin.Families()
	checkpoint, warnings, err := convert.Assemble(c.Context, b, parts)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		p.log.Warn(w)
	}
	return p.writeCheckpoint(c.Context, checkpoint, to)
}

// writeCheckpoint writes with progress, and closes what was read.
func (p *program) writeCheckpoint(ctx context.Context, checkpoint *convert.Checkpoint, to string) (err error) {
	defer func() { err = errors.Join(err, checkpoint.Close()) }()
	const mega = 1_000_000
	total := checkpoint.WeightBytes()
	task := p.progress().Start("megabytes of "+to, int(total/mega), 0)
	defer task.Done()
	if err := checkpoint.Write(ctx, to, func(done, _ int64) { task.Step(int(done/mega), 0, 0) }); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s: %s, %s\n", to, checkpoint.Class(), registry.Size(total))
	return nil
}

// convertLAVIS converts a .pth file.
func (p *program) convertLAVIS(c *cli.Context, from, to string) error {
	l, err := convert.OpenLAVIS(from)
	if err != nil {
		return err
	}
	defer p.closing(l)()
	reg, err := p.registry(c.Context)
	if err != nil {
		return err
	}
	if l.Stage() == 0 {
		if c.String("to") == toBridge {
			return usagef("%s holds an encoder alone, which is no bridge; leave --to out", from)
		}
		encoder, err := l.Encoder(c.Int("encoder-heads"))
		if err != nil {
			return err
		}
		return p.writeCheckpoint(c.Context, encoder, to)
	}
	b, parts, err := p.lavisBridge(c, reg, l)
	if err != nil {
		return err
	}
	defer b.Close()
	if c.String("to") == toBridge {
		return p.saveBridge(b, to)
	}
	if l.HasEncoder() && !c.IsSet("encoder") {
		if parts.Encoder, err = l.Encoder(c.Int("encoder-heads")); err != nil {
			return err
		}
	}
	return p.assemble(c, b, parts, to)
}

// lavisBridge makes a bridge of a .pth file, and finds its frozen models.
func (p *program) lavisBridge(c *cli.Context, reg *registry.Registry, l *convert.LAVIS) (*bridge.Bridge, convert.Parts, error) {
	parts := convert.Parts{Activation: l.Activation()}
	config, err := l.Config(c.Int("heads"))
	if err != nil {
		return nil, parts, err
	}
	encoder, _ := adapters.FamilyOf(reg.Families(), weights.TypeBLIP2Vision)
	info := bridge.Info{Vision: bridge.Side{ID: "eva-vit-g", Family: encoder.Name, Width: config.EncoderWidth, Layer: -1}}
	if id := c.String("encoder"); id != "" {
		if info.Vision, parts.Vision, err = lavisSide(reg, id, adapters.KindVision); err != nil {
			return nil, parts, err
		}
	} else if !l.HasEncoder() || c.String("to") == toBridge {
		return nil, parts, usagef("%s does not say which encoder it was trained with; name it with --encoder ID (eva-vit-g, or the folder that bridge convert makes of eva_vit_g.pth)", c.Args().First())
	}
	var words *bridge.Tokenizer
	if l.Stage() == 1 {
		words, err = p.lavisWords(c, reg)
	} else {
		err = lavisLanguage(c, reg, l, &info, &parts)
	}
	if err != nil {
		return nil, parts, err
	}
	backend, err := backends.Open(backends.Go)
	if err != nil {
		return nil, parts, err
	}
	b, err := l.Bridge(backend, config, words, info)
	return b, parts, err
}

// lavisSide describes a frozen model that a flag names.
func lavisSide(reg *registry.Registry, id string, kind adapters.ModelKind) (bridge.Side, string, error) {
	m, err := reg.LookupKind(id, kind)
	if err != nil {
		return bridge.Side{}, "", err
	}
	if m.Kind != kind {
		return bridge.Side{}, "", usagef("%s is a %s, want a %s", id, m.Kind, kind)
	}
	dir, err := m.Folder()
	if err != nil {
		return bridge.Side{}, "", err
	}
	side := bridge.Side{ID: m.ID, Family: m.Manifest.Family, Width: m.Width}
	if m.Source == registry.FromFolder {
		side.Path = m.Path
	}
	if m.FeatureLayer != nil {
		side.Layer = *m.FeatureLayer
	}
	return side, dir, nil
}

// lavisLanguage finds the language model of a stage-2 file.
func lavisLanguage(c *cli.Context, reg *registry.Registry, l *convert.LAVIS, info *bridge.Info, parts *convert.Parts) error {
	id := c.String("llm")
	if id == "" {
		return usagef("%s is of stage 2 (it has %s) and does not hold its language model; name it with --llm ID", c.Args().First(), l.Projection())
	}
	side, dir, err := lavisSide(reg, id, adapters.KindLanguage)
	if err != nil {
		return err
	}
	m, err := reg.LookupKind(id, adapters.KindLanguage)
	if err != nil {
		return err
	}
	prompts := bridge.Templates(m.Templates)
	info.Language, info.Templates, parts.Language = &side, &prompts, dir
	return nil
}

// lavisWords opens the tokenizer of a stage-1 file's text side.
func (p *program) lavisWords(c *cli.Context, reg *registry.Registry) (*bridge.Tokenizer, error) {
	name := c.String("tokenizer")
	if name == "" {
		return nil, usagef("%s is of stage 1 and does not hold its tokenizer; name the folder of bert-base-uncased with --tokenizer DIR", c.Args().First())
	}
	if dir, ok := reg.Snapshot(name, "tokenizer.json"); ok {
		name = dir
	}
	return bridge.OpenTokenizer(c.Context, filepath.Join(name, "tokenizer.json"))
}
