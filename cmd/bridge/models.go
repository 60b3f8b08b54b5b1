package main

import (
	"fmt"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/shell"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/runs"
)

func (p *program) modelsCommand() *cli.Command {
	return group("models", "list, add, download, verify and measure frozen models",
		&cli.Command{
			Name: "list", Usage: "list the ids and where their weights are", UsageText: "bridge models list [--json]",
			Description: "Example: bridge models list", Flags: []cli.Flag{jsonFlag()}, Action: p.modelsList,
		},
		&cli.Command{
			Name: "show", Usage: "show what is known about a model", ArgsUsage: "ID", UsageText: "bridge models show ID [--json]",
			Description: "Example: bridge models show flant5-xl", Flags: []cli.Flag{jsonFlag()}, Action: p.modelsShow,
		},
		&cli.Command{
			Name: "add", Usage: "record the folder with a model's weights", ArgsUsage: "ID", UsageText: "bridge models add ID --path DIR",
			Description: "Example: bridge models add opt-2.7b --path /data/opt-2.7b",
			Flags:       []cli.Flag{&cli.StringFlag{Name: "path", Usage: "`DIR` with config.json and the weights"}}, Action: p.modelsAdd,
		},
		p.pullCommand(), p.modelsVerifyCommand(), p.modelsMeasureCommand())
}

// modelLine is the JSON of a model.
type modelLine struct {
	ID           string                `json:"id"`
	Kind         adapters.ModelKind    `json:"kind"`
	Family       string                `json:"family"`
	About        string                `json:"about,omitempty"`
	Repository   string                `json:"repository,omitempty"`
	Revision     string                `json:"revision,omitempty"`
	Width        int                   `json:"width"`
	Tokens       int                   `json:"tokens,omitempty"`
	ImageSize    int                   `json:"image_size,omitempty"`
	Architecture adapters.Architecture `json:"architecture,omitempty"`
	Context      int                   `json:"context,omitempty"`
	DType        string                `json:"dtype"`
	Activation   string                `json:"activation,omitempty"`
	EndOfAnswer  string                `json:"end_of_answer,omitempty"`
	Parameters   int64                 `json:"parameters,omitempty"`
	Download     int64                 `json:"download_bytes,omitempty"`
	Inference    int64                 `json:"memory_inference_bytes,omitempty"`
	Stage2       int64                 `json:"memory_stage2_bytes,omitempty"`
	Source       registry.Source       `json:"weights"`
	Path         string                `json:"path,omitempty"`
	Commit       string                `json:"commit,omitempty"`
}

func newModelLine(b registry.Backbone) modelLine {
	memory := runs.ModelMemory(b)
	return modelLine{
		ID: b.ID, Kind: b.Kind, Family: b.Manifest.Family, About: b.About, Repository: b.Repository, Revision: b.Revision,
		Width: b.Width, Tokens: b.Tokens, ImageSize: b.ImageSize, Architecture: b.Architecture, Context: b.Context,
		DType: b.DType, Activation: b.Activation, EndOfAnswer: b.EndOfAnswer, Parameters: b.Parameters, Download: b.Download,
		Inference: memory.Inference, Stage2: memory.Stage2, Source: b.Source, Path: b.Path, Commit: b.Commit,
	}
}

func (p *program) modelsList(c *cli.Context) error {
	if _, err := arguments(c, 0, 0); err != nil {
		return err
	}
	reg, err := p.workspace.Registry()
	if err != nil {
		return err
	}
	var rows [][]string
	for _, id := range reg.IDs() {
		b, err := reg.Lookup(id)
		if err != nil {
			return err
		}
		if c.Bool("json") {
			if err := p.printJSON(newModelLine(b)); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, []string{id, string(b.Kind), b.Manifest.Family, strconv.Itoa(b.Width),
			registry.Known(b.Parameters, registry.Count), registry.Known(b.Download, registry.Size), weightsLocation(b)})
	}
	if c.Bool("json") {
		return nil
	}
	return p.table([]string{"ID", "KIND", "FAMILY", "WIDTH", "PARAMETERS", "DOWNLOAD", "WEIGHTS"}, rows)
}

// weightsLocation returns where the weights of a model are.
func weightsLocation(b registry.Backbone) string {
	if b.Path != "" {
		return fmt.Sprintf("%s: %s", b.Source, b.Path)
	}
	return string(b.Source)
}

// lookupModel looks up the model whose ID is the command's only argument.
func (p *program) lookupModel(c *cli.Context) (registry.Backbone, error) {
	args, err := arguments(c, 1, 1)
	if err != nil {
		return registry.Backbone{}, err
	}
	reg, err := p.workspace.Registry()
	if err != nil {
		return registry.Backbone{}, err
	}
	return reg.Lookup(args[0])
}

func (p *program) modelsShow(c *cli.Context) error {
	b, err := p.lookupModel(c)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return p.printJSON(newModelLine(b))
	}
	for _, f := range modelDetails(b) {
		if f[1] != "" && f[1] != "0" && f[1] != "-" {
			p.printf("%-16s %s\n", f[0], f[1])
		}
	}
	if _, err := b.Folder(); err != nil {
		p.printf("%-16s %v\n", "to use it", err)
	}
	return nil
}

// modelDetails returns the lines of `models show`.
func modelDetails(b registry.Backbone) [][2]string {
	memory := runs.ModelMemory(b)
	return [][2]string{
		{"id", b.ID}, {"about", b.About}, {"kind", string(b.Kind)}, {"family", b.Manifest.Family},
		{"repository", b.Repository}, {"revision", b.Revision},
		{"width", strconv.Itoa(b.Width)}, {"tokens", strconv.Itoa(b.Tokens)}, {"image size", strconv.Itoa(b.ImageSize)},
		{"architecture", string(b.Architecture)}, {"context", strconv.Itoa(b.Context)}, {"dtype", b.DType},
		{"activation", b.Activation}, {"end of answer", quoteIfSet(b.EndOfAnswer)},
		{"caption prompt", quoteIfSet(b.Templates.Caption)}, {"question prompt", quoteIfSet(b.Templates.Question)},
		{"parameters", registry.Known(b.Parameters, registry.Count)}, {"download", registry.Known(b.Download, registry.Size)},
		{"memory", registry.Known(memory.Inference, registry.Size)}, {"memory, stage 2", registry.Known(memory.Stage2, registry.Size)},
		{"weights", weightsLocation(b)}, {"commit", b.Commit},
	}
}

// quoteIfSet quotes a string that is not empty.
func quoteIfSet(s string) string {
	if s == "" {
		return ""
	}
	return strconv.Quote(s)
}

func (p *program) modelsAdd(c *cli.Context) error {
	args, err := arguments(c, 1, 1)
	if err != nil {
		return err
	}
	if c.String("path") == "" {
		return usagef("bridge models add %s needs --path DIR, the folder with config.json and the weights", shell.Path(args[0]))
	}
	reg, err := p.workspace.Registry()
	if err != nil {
		return err
	}
	b, err := reg.AddPath(args[0], c.String("path"))
	if err != nil {
		return err
	}
	p.printf("%s: %s\n", b.ID, b.Path)
	return nil
}
