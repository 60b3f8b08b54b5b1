package recipes

import (
	"embed"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/didyoumean"
	"github.com/modular-bridging/bridge/internal/stricttoml"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/objective"
)

//go:embed *.toml
var shipped embed.FS

// Shipped returns the names of the recipes that ship, in order.
func Shipped() []string {
	files, err := shipped.ReadDir(".")
	if err != nil {
		panic("recipes: the embedded folder cannot be read: " + err.Error())
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f.Name(), ".toml"))
	}
	return names
}

// Text returns the file of a recipe that ships, comments included.
func Text(name string) ([]byte, error) {
	data, err := shipped.ReadFile(name + ".toml")
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "no recipe %q ships with bridge%s", name, didyoumean.Hint(name, Shipped())).
			WithRemedy("`bridge recipes list` shows their names")
	}
	return data, nil
}

// Header returns the comment that a recipe begins with, without its marks.
func Header(text []byte) []string {
	var lines []string
	for line := range strings.Lines(string(text)) {
		comment, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "#")
		if !ok {
			break
		}
		lines = append(lines, strings.TrimPrefix(comment, " "))
	}
	return lines
}

// Override is a value from the command line that replaces the recipe's.
type Override = stricttoml.Override

// Load is [LoadWith] with overrides of the form "key=value", as --set gives them.
func Load(nameOrFile string, sets ...string) (*Recipe, error) {
	overrides := make([]Override, len(sets))
	for i, s := range sets {
		overrides[i].Assignment = s
	}
	return LoadWith(nameOrFile, overrides...)
}

// LoadWith reads a recipe, a file or the name of one that ships, and checks all
// that needs neither a registry nor other files.
func LoadWith(nameOrFile string, overrides ...Override) (*Recipe, error) {
	if slices.Contains(Shipped(), nameOrFile) {
		data, err := Text(nameOrFile)
		if err != nil {
			return nil, err
		}
		return Parse(nameOrFile+".toml", data, overrides...)
	}
	data, err := os.ReadFile(nameOrFile)
	if err == nil {
		return parse(nameOrFile, data, func(doc *stricttoml.Document) error { return inProject(doc, nameOrFile) }, overrides)
	}
	if os.IsNotExist(err) && filepath.Base(nameOrFile) == nameOrFile && filepath.Ext(nameOrFile) != ".toml" {
		_, err := Text(nameOrFile)
		return nil, err
	}
	return nil, adapters.Errorf(adapters.NotFound, "recipe cannot be read: %w", err).
		WithRemedy("name a file, or one of the recipes that `bridge recipes list` shows")
}

// Parse is [LoadWith] of a text; file is what messages call it.
func Parse(file string, text []byte, overrides ...Override) (*Recipe, error) {
	return parse(file, text, func(*stricttoml.Document) error { return nil }, overrides)
}

// parse changes what the file says before the overrides take its place.
func parse(file string, text []byte, change func(*stricttoml.Document) error, overrides []Override) (*Recipe, error) {
	doc, err := stricttoml.Parse(file, text)
	if err != nil {
		return nil, err
	}
	if err := change(doc); err != nil {
		return nil, err
	}
	for _, o := range overrides {
		if err := doc.Set(o); err != nil {
			return nil, err
		}
	}
	r := defaults(doc)
	r.doc = doc
	doc.Decode(r)
	if err := doc.Err(); err != nil { // further checks would only repeat it
		return nil, err
	}
	r.check()
	return r, doc.Err()
}

// defaults returns what a recipe says where its file says nothing; some of it
// depends on the stage and the Q-Former's preset.
func defaults(doc *stricttoml.Document) *Recipe {
	r := &Recipe{
		Vision:     Vision{Backbone: Backbone{Isolation: "process"}},
		Data:       Data{CaptionProcessing: "none", MaxTextTokens: 32},
		Objective:  Objective{Name: objective.PromptCaption().Name},
		Optimizer:  Optimizer{Betas: [2]float64{0.9, 0.98}, Eps: 1e-8, WeightDecay: 0.05, ClipNorm: 1, Accumulate: 1},
		Evaluation: Evaluation{Examples: 256},
		Run:        Run{Backend: "auto", Keep: 2, FeatureCache: true},
	}
	if stage, _ := doc.Value("stage"); stage == int64(1) {
		r.Objective = Objective{Name: objective.Representation().Name, ITC: 1, ITM: 1, ITG: 1}
		r.Evaluation.Rerank = 16
	}
	if doc.Has("language") {
		r.Language = &Language{Backbone: Backbone{Isolation: "process"}}
	}
	if doc.Has("swap") {
		r.Swap = &Swap{Projection: train.ProjectionSharedTokens}
	}
	if from, _ := doc.Value("from"); from == nil || from == "" {
		name, _ := doc.Value("qformer.preset")
		preset, _ := name.(string)
		r.QFormer = presets()[preset]
	}
	return r
}

// presets are Q-Former shapes by name; "" asks for explicit figures.
func presets() map[string]QFormer {
	base, none := 0.1, 0.0 // the paper's, and none for the kit's small data
	return map[string]QFormer{
		"": {CrossEvery: 2, Positions: 512, InitStd: 0.02, Dropout: &base},
		"base": {Preset: "base", HiddenSize: 768, Layers: 12, Heads: 12, FFNSize: 3072, Queries: 32, CrossEvery: 2,
			Projection: 256, Positions: 512, InitStd: 0.02, Dropout: &base, Tokenizer: "bert-base-uncased"},
		"tiny": {Preset: "tiny", HiddenSize: 128, Layers: 4, Heads: 4, FFNSize: 512, Queries: 10, CrossEvery: 2,
			Projection: 64, Positions: 32, InitStd: 0.04, Dropout: &none, Tokenizer: "kit:qformer"},
	}
}
