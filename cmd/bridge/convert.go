package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/workspace"
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
			&cli.StringFlag{Name: "to", Value: workspace.FormHuggingFace, Usage: "`FORM` of the folder: huggingface or bridge", Action: func(_ *cli.Context, to string) error {
				if to != workspace.FormHuggingFace && to != workspace.FormBridge {
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
	lavis, err := lavisOptions(c, args[0])
	if err != nil {
		return err
	}
	done, err := p.workspace.Convert(c.Context, args[0], args[1], workspace.ConvertOptions{Form: c.String("to"), LAVIS: lavis})
	if err != nil {
		return err
	}
	if done.Form == workspace.FormBridge {
		fmt.Fprintf(p.stdout, "%s: a bridge of stage %d\n", args[1], done.Stage)
		return nil
	}
	fmt.Fprintf(p.stdout, "%s: %s, %s\n", args[1], done.Class, registry.Size(done.Bytes))
	return nil
}
