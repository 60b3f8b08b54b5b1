package main

import (
	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/internal/bytesize"
	"github.com/modular-bridging/bridge/serve"
)

func (p *program) serveCommand() *cli.Command {
	return &cli.Command{
		Name: "serve", Usage: "answer over HTTP, as OpenAI's chat completions, and serve a page to talk to bridges", ArgsUsage: "[MODEL...]",
		UsageText: "bridge serve [NAME=]MODEL... [--addr HOST:PORT] [--config FILE] [--check]",
		Description: "Clients call a model by its NAME, which is by default the last part of the MODEL.\n" +
			"The page is at the address itself. docs/serving.md describes the rest.\n\n" +
			"Example: bridge serve runs/demo/warm",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "addr", Usage: "`HOST:PORT` to listen on (default: 127.0.0.1:8000); other machines need an API key"},
			&cli.StringFlag{Name: "config", Usage: "TOML `FILE` with bridges, keys, limits and templates"},
			&cli.BoolFlag{Name: "check", Usage: "check the configuration and the models, and end"},
			backendFlag(), isolationFlag(), transportFlag(),
		},
		Action: p.serve,
	}
}

func (p *program) serve(c *cli.Context) error {
	command := serve.Command{
		Models: c.Args().Slice(), Address: c.String("addr"), Config: c.String("config"),
		Backend: c.String("backend"), Isolation: c.String("isolation"), Transport: c.String("transport"),
	}
	if c.Bool("check") {
		return serve.Check(c.Context, p.workspace, p.log, command, func(b serve.Checked) {
			p.printf("%s: %s and %s, %s in all so far\n", b.Name, b.Encoder, b.LLM, bytesize.Format(b.Memory))
		})
	}
	s, err := serve.FromCommand(p.workspace, p.log, command)
	if err != nil {
		return err
	}
	return s.Serve(c.Context, func(url string) { p.printf("%s\n", url) })
}
