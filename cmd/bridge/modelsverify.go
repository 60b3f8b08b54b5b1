package main

import (
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/workspace"
)

func (p *program) modelsVerifyCommand() *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "hash a model's files and compare them with the hub's checksums", ArgsUsage: "ID",
		UsageText: "bridge models verify ID [--repair] [--json]",
		Description: "The checksums of files that did not come from the hub are only printed, because there is nothing to compare them\n" +
			"with.\n\nExample: bridge models verify flant5-xl",
		Flags: []cli.Flag{jsonFlag(),
			&cli.BoolFlag{Name: "repair", Usage: "delete damaged files from the hub's cache and download them again"}},
		Action: p.modelsVerify,
	}
}

// checksumLine is the JSON of a file.
type checksumLine struct {
	Path     string `json:"path"`
	Size     int64  `json:"size"`
	Checksum string `json:"checksum"`
	Want     string `json:"want,omitempty"`
	OK       bool   `json:"ok"`
}

func (p *program) modelsVerify(c *cli.Context) error {
	args, err := arguments(c, 1, 1)
	if err != nil {
		return err
	}
	model, err := p.workspace.VerifyModel(c.Context, args[0])
	if err != nil {
		return err
	}
	if err := p.printChecksums(model.Files, c.Bool("json")); err != nil {
		return err
	}
	if c.Bool("repair") {
		return p.workspace.RepairModel(c.Context, model, p.stderr)
	}
	return model.Err()
}

func (p *program) printChecksums(files []workspace.ModelFile, asJSON bool) error {
	var rows [][]string
	for _, f := range files {
		if asJSON {
			if err := p.printJSON(checksumLine{filepath.ToSlash(f.Path), f.Size, f.Checksum, f.Want, f.OK}); err != nil {
				return err
			}
			continue
		}
		state := "matches the hub"
		switch {
		case !f.OK:
			state = "DAMAGED, the hub has " + f.Want
		case f.Want == "":
			state = "nothing to compare with"
		}
		rows = append(rows, []string{filepath.ToSlash(f.Path), registry.Size(f.Size), f.Checksum, state})
	}
	if asJSON {
		return nil
	}
	return p.table([]string{"FILE", "SIZE", "CHECKSUM", "STATE"}, rows)
}
