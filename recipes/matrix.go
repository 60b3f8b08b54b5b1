package recipes

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/stricttoml"
	"github.com/modular-bridging/bridge/registry"
)

// Matrix is a set of swaps that are to be compared: every encoder with every
// language model, each with every option and every seed.
type Matrix struct {
	Name string `toml:"name"`
	// Recipe is what all runs follow: a file, or the name of one that ships.
	Recipe string `toml:"recipe"`
	// From is the bridge whose models are swapped; empty: the recipe's.
	From     string            `toml:"from"`
	Encoders []string          `toml:"encoders"`
	LLMs     []string          `toml:"llms"`
	Seeds    []uint64          `toml:"seeds"`
	Set      []string          `toml:"set"` // key=value, of all runs
	Options  map[string]Option `toml:"options"`
}

// Option is one way to do a swap.
type Option struct {
	Cold bool     `toml:"cold"` // from the stage-1 bridge, a fresh projection: the baseline
	From string   `toml:"from"` // another bridge than the matrix's
	Set  []string `toml:"set"`  // key=value
}

// Cell is one run of a matrix.
type Cell struct {
	Encoder, LLM, Option string
	Seed                 uint64
}

// Name names the cell's run folder.
func (c Cell) Name() string {
	return fmt.Sprintf("%s_%s_%s_seed%d", registry.FolderName(c.Encoder), registry.FolderName(c.LLM), c.Option, c.Seed)
}

// IsMatrix reports whether a file is a matrix and not a recipe.
func IsMatrix(file string) bool {
	data, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	doc, err := stricttoml.Parse(file, data)
	return err == nil && (doc.Has("llms") || doc.Has("encoders")) && !doc.Has("stage")
}

// LoadMatrix reads a matrix. Where it names no option there is one, "warm", that
// sets nothing; without seeds there is seed 1.
func LoadMatrix(file string) (*Matrix, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "matrix cannot be read: %w", err)
	}
	doc, err := stricttoml.Parse(file, data)
	if err != nil {
		return nil, err
	}
	m := &Matrix{Name: strings.TrimSuffix(filepath.Base(file), ".toml"), Seeds: []uint64{1}, Options: map[string]Option{"warm": {}}}
	doc.Decode(m)
	if len(m.Encoders) == 0 {
		doc.Errorf("encoders", "is empty, want ids of vision encoders")
	}
	if len(m.LLMs) == 0 {
		doc.Errorf("llms", "is empty, want ids of language models")
	}
	if len(m.Seeds) == 0 {
		doc.Errorf("seeds", "is empty, want at least one")
	}
	for name := range m.Options {
		if name != filepath.Base(name) || strings.ContainsAny(name, "_ ") {
			doc.Errorf("options."+name, "is no name for a folder, want letters, digits and dashes")
		}
	}
	return m, doc.Err()
}

// Cells returns the runs: encoder by encoder, the seeds innermost.
func (m *Matrix) Cells() []Cell {
	var all []Cell
	for _, encoder := range m.Encoders {
		for _, llm := range m.LLMs {
			for _, option := range slices.Sorted(maps.Keys(m.Options)) {
				for _, seed := range m.Seeds {
					all = append(all, Cell{Encoder: encoder, LLM: llm, Option: option, Seed: seed})
				}
			}
		}
	}
	return all
}

// Overrides are what a cell makes of the matrix's recipe.
func (m *Matrix) Overrides(c Cell) []Override {
	var all []Override
	for _, a := range slices.Concat([]string{fmt.Sprintf("seed=%d", c.Seed)}, m.Set, m.Options[c.Option].Set) {
		all = append(all, Override{Assignment: a})
	}
	return all
}
