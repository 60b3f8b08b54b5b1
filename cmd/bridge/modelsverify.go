package main

import (
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/hub"
	"github.com/modular-bridging/bridge/internal/shell"
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
	b, err := p.lookupModel(c)
	if err != nil {
		return err
	}
	dir, err := b.Folder()
	if err != nil {
		return err
	}
	checked, err := hub.Verify(c.Context, dir, func(path string) { p.log.Debug("hashing", "file", path) })
	if err != nil {
		return err
	}
	if err := p.printChecksums(checked, c.Bool("json")); err != nil {
		return err
	}
	return p.repairOrFail(c, b, dir, checked)
}

func (p *program) printChecksums(checked []hub.Checked, asJSON bool) error {
	var rows [][]string
	for _, f := range checked {
		if asJSON {
			if err := p.printJSON(checksumLine{filepath.ToSlash(f.Path), f.Size, f.Got, f.Want, f.OK()}); err != nil {
				return err
			}
			continue
		}
		state := "matches the hub"
		switch {
		case !f.OK():
			state = "DAMAGED, the hub has " + f.Want
		case f.Want == "":
			state = "nothing to compare with"
		}
		rows = append(rows, []string{filepath.ToSlash(f.Path), registry.Size(f.Size), f.Got, state})
	}
	if asJSON {
		return nil
	}
	return p.table([]string{"FILE", "SIZE", "CHECKSUM", "STATE"}, rows)
}

// repairOrFail downloads damaged files again if --repair is set. Otherwise it returns an error
// if a file is damaged.
func (p *program) repairOrFail(c *cli.Context, b registry.Backbone, dir string, checked []hub.Checked) error {
	damaged := 0
	for _, f := range checked {
		if f.OK() {
			continue
		}
		damaged++
		if c.Bool("repair") {
			if err := hub.Forget(dir, f); err != nil {
				return err
			}
		}
	}
	if damaged == 0 {
		return nil
	}
	if c.Bool("repair") && b.Repository != "" {
		_, err := p.workspace.Pull(c.Context, b.ID, workspace.PullOptions{Revision: b.Commit, Output: p.stderr})
		return err
	}
	return adapters.Errorf(adapters.Corrupt, "%d of %d files of %s are damaged", damaged, len(checked), b.ID).
		WithRemedy("download them again: bridge models verify %s --repair", shell.Path(b.ID))
}
