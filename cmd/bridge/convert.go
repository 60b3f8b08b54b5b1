package main

import (
	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/workspace"
)

func (p *program) convertCommand() *cli.Command {
	return &cli.Command{
		Name: "convert", Usage: "write a bridge as a folder of transformers, or of bridge", ArgsUsage: "FROM TO",
		UsageText: "bridge convert FROM TO [--to huggingface|bridge] [--encoder ID] [--llm ID] [--tokenizer DIR]",
		Description: "FROM is a MODEL, or a .pth file of LAVIS: a BLIP-2 of stage 1 or 2, or the encoder eva_vit_g.pth. bridge reads a\n" +
			".pth file without running code in it. --encoder and --llm name the frozen models that the file was trained with but does\n" +
			"not contain. TO is the folder to create. It has the form of transformers (Blip2ForConditionalGeneration,\n" +
			"Blip2ForImageTextRetrieval, Blip2VisionModel), and can be used as a MODEL too. With --to bridge it contains only the\n" +
			"trained part.\n\n" +
			"Example: bridge convert runs/mine blip2-mine\n" +
			"         bridge convert blip2_pretrained_flant5xl.pth blip2-xl --llm flant5-xl --encoder eva-vit-g",
		Flags: append([]cli.Flag{formFlag(),
			&cli.StringFlag{Name: "tokenizer", Usage: "`DIR` with the tokenizer.json of bert-base-uncased, for a .pth file of stage 1"},
		}, lavisFlags()...),
		Action: p.convert,
	}
}

func formFlag() cli.Flag {
	return &cli.StringFlag{Name: "to", Value: workspace.FormHuggingFace, Usage: "`FORM` of the folder: huggingface or bridge",
		Action: func(_ *cli.Context, to string) error {
			if to != workspace.FormHuggingFace && to != workspace.FormBridge {
				return usagef("--to is %q, want huggingface or bridge", to)
			}
			return nil
		}}
}

func (p *program) convert(c *cli.Context) error {
	args, err := arguments(c, 2, 2)
	if err != nil {
		return err
	}
	lavis, err := lavisOptions(c, args[0])
	if err != nil {
		return err
	}
	done, err := p.workspace.Convert(c.Context, args[0], args[1], workspace.ConvertOptions{Form: c.String("to"), LAVIS: lavis})
	if err != nil {
		return err
	}
	if done.Form == workspace.FormBridge {
		p.printf("%s: a bridge of stage %d\n", args[1], done.Stage)
		return nil
	}
	p.printf("%s: %s, %s\n", args[1], done.Class, registry.Size(done.Bytes))
	return nil
}
