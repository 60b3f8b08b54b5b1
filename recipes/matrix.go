package recipes

import (
	"cmp"
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
	// Ladder makes the matrix a ladder of budgets. Default: none, and every run has the
	// recipe's steps.
	Ladder *Ladder `toml:"ladder"`
}

// MatrixOption is one way to do a swap, named by a table [options.NAME] of a matrix.
type MatrixOption struct {
	// Cold starts from the stage-1 bridge with a fresh projection: the baseline. Default
	// false.
	Cold bool `toml:"cold,omitempty"`
	// Unswapped keeps the frozen models of the bridge, and trains it further: the ceiling
	// that swaps are held against. Default false.
	Unswapped bool `toml:"unswapped,omitempty"`
	// From is another bridge than the matrix's: a second donor or, for a cold start, another
	// stage-1 bridge. Default: the matrix's.
	From string `toml:"from,omitempty"`
	// Set holds key=value of the recipe, after the matrix's. Default: none.
	Set []string `toml:"set,omitempty"`
	// Seeds are some of the matrix's seeds. Default: all of them.
	Seeds []uint64 `toml:"seeds,omitempty"`

	// The other keys need a table [ladder].

	// Fractions are the option's budgets as fractions of the baseline's cost C. Default: the
	// ladder's, unless Budgets or Climb is given.
	Fractions []float64 `toml:"fractions,omitempty"`
	// Budgets are the option's budgets in steps at the baseline's batch. Default: none.
	Budgets []int `toml:"budgets,omitempty"`
	// Climb runs the option with every budget of the baseline. Default false.
	Climb bool `toml:"climb,omitempty"`
	// KeepWarmup keeps swap.warmup_steps the same for all budgets, up to half of a budget.
	// Default false: the warm-up is scaled with the budget.
	KeepWarmup bool `toml:"keep_warmup,omitempty"`
}

// MatrixRun identifies one run of a matrix.
type MatrixRun struct {
	Encoder string `json:"encoder"` // of the swapped bridge
	LLM     string `json:"llm"`
	Option  string `json:"option"`
	Budget  int    `json:"budget,omitempty"` // in steps at the baseline's batch; 0 without a ladder
	Seed    uint64 `json:"seed"`
}

// Name returns the name of the run, and of its folder.
func (r MatrixRun) Name() string {
	name := fmt.Sprintf("%s_%s_%s", registry.FolderName(r.Encoder), registry.FolderName(r.LLM), r.Option)
	if r.Budget > 0 {
		name += fmt.Sprintf("_%dsteps", r.Budget)
	}
	return name + fmt.Sprintf("_seed%d", r.Seed)
}

// CompareCost orders runs by budget, and runs with the same budget by name and seed.
func (r MatrixRun) CompareCost(o MatrixRun) int {
	return cmp.Or(cmp.Compare(r.Budget, o.Budget), cmp.Compare(r.Encoder, o.Encoder), cmp.Compare(r.LLM, o.LLM),
		cmp.Compare(r.Option, o.Option), cmp.Compare(r.Seed, o.Seed))
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
	return ParseMatrix(file, data)
}

// ParseMatrix is [LoadMatrix] of a text. file is its name in messages; without .toml it is the
// default of the matrix's name.
func ParseMatrix(file string, text []byte) (*Matrix, error) {
	doc, err := stricttoml.Parse(file, text)
	if err != nil {
		return nil, err
	}
	m := &Matrix{Name: strings.TrimSuffix(filepath.Base(file), ".toml"), Seeds: []uint64{1}, Options: map[string]MatrixOption{"warm": {}}}
	if doc.Has("ladder") {
		m.Ladder = defaultLadder()
	}
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
	checkPath(doc, "recipe", m.Recipe)
	checkPath(doc, "from", m.From)
	for name, option := range m.Options {
		checkPath(doc, "options."+name+".from", option.From)
		if name != filepath.Base(name) || strings.ContainsAny(name, "_ ") {
			doc.Errorf("options."+name, "is not a name for a folder, want letters, digits and dashes")
		}
		if option.Cold && option.Unswapped {
			doc.Errorf("options."+name, "has cold and unswapped: a cold start has no models to keep")
		}
	}
	m.checkLadder(doc)
	return m, doc.Err()
}

// Runs returns the runs of a matrix without a ladder, in order: encoders outermost, seeds
// innermost.
func (m *Matrix) Runs() []MatrixRun {
	var all []MatrixRun
	for _, encoder := range m.Encoders {
		for _, llm := range m.LLMs {
			for _, option := range slices.Sorted(maps.Keys(m.Options)) {
				for _, seed := range m.SeedsOf(option) {
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
