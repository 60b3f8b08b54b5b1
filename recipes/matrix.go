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

// Matrix is a set of swaps to compare: every encoder with every language model, each with
// every option and every seed.
type Matrix struct {
	// Name names the comparison. Default: the file's name.
	Name string `toml:"name"`
	// Recipe is the recipe of all runs: a file, or the name of one that ships. Default:
	// the recipe of the run that From names; if From is not a run, tiny-retrain.
	Recipe string `toml:"recipe"`
	// From is the bridge whose models are swapped. Default: the recipe's.
	From string `toml:"from"`
	// Encoders are the ids of vision encoders, and LLMs those of language models. Both
	// are required.
	Encoders []string `toml:"encoders"`
	LLMs     []string `toml:"llms"`
	// Seeds has one run each. Default [1].
	Seeds []uint64 `toml:"seeds"`
	// Set holds key=value of the recipe, for all runs. Default: none.
	Set []string `toml:"set"`
	// Options are the ways to swap by name. Default: "warm", which sets nothing.
	Options map[string]MatrixOption `toml:"options"`
}

// MatrixOption is one way to do a swap, named by a table [options.NAME] of a matrix.
type MatrixOption struct {
	// Cold starts from the stage-1 bridge with a fresh projection: the baseline. Default
	// false.
	Cold bool `toml:"cold"`
	// From is another bridge than the matrix's. Default: the matrix's.
	From string `toml:"from"`
	// Set holds key=value of the recipe, after the matrix's. Default: none.
	Set []string `toml:"set"`
}

// MatrixRun identifies one run of a matrix.
type MatrixRun struct {
	Encoder, LLM, Option string
	Seed                 uint64
}

// Name returns the name of the run, and of its folder.
func (r MatrixRun) Name() string {
	return fmt.Sprintf("%s_%s_%s_seed%d", registry.FolderName(r.Encoder), registry.FolderName(r.LLM), r.Option, r.Seed)
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

// LoadMatrix reads a matrix and checks it.
func LoadMatrix(file string) (*Matrix, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "matrix cannot be read: %w", err)
	}
	doc, err := stricttoml.Parse(file, data)
	if err != nil {
		return nil, err
	}
	m := &Matrix{Name: strings.TrimSuffix(filepath.Base(file), ".toml"), Seeds: []uint64{1}, Options: map[string]MatrixOption{"warm": {}}}
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
			doc.Errorf("options."+name, "is not a name for a folder, want letters, digits and dashes")
		}
	}
	return m, doc.Err()
}

// Runs returns the runs in order: encoders outermost, seeds innermost.
func (m *Matrix) Runs() []MatrixRun {
	var all []MatrixRun
	for _, encoder := range m.Encoders {
		for _, llm := range m.LLMs {
			for _, option := range slices.Sorted(maps.Keys(m.Options)) {
				for _, seed := range m.Seeds {
					all = append(all, MatrixRun{Encoder: encoder, LLM: llm, Option: option, Seed: seed})
				}
			}
		}
	}
	return all
}

// Overrides returns the values that a run of the matrix sets in the recipe.
func (m *Matrix) Overrides(r MatrixRun) []Override {
	var all []Override
	for _, a := range slices.Concat([]string{fmt.Sprintf("seed=%d", r.Seed)}, m.Set, m.Options[r.Option].Set) {
		all = append(all, Override{Assignment: a})
	}
	return all
}
