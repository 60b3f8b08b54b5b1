package recipes

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/modular-bridging/bridge/internal/didyoumean"
	"github.com/modular-bridging/bridge/internal/printable"
	"github.com/modular-bridging/bridge/internal/stricttoml"
)

// Recipe is a run as its file describes it: the keys that stand above all tables, and
// one field a table.
type Recipe struct {
	// Name names the run, and its folder unless the caller chooses another one.
	// Required.
	Name string `toml:"name"`
	// Stage is 1 (representation learning: the Q-Former alone) or 2 (generative
	// learning: the bridge through a frozen language model). Required.
	Stage int `toml:"stage"`
	// Seed determines every random choice of the run: first weights, the order of the
	// pictures, dropout. Default 0.
	Seed uint64 `toml:"seed"`
	// From is the bridge to start from: a run folder, a bridge folder, or one of the
	// kit's ("kit:stage1"). Default: none, a Q-Former with random weights.
	From string `toml:"from"`

	Vision     Vision     `toml:"vision"`
	Language   *Language  `toml:"language"` // nil in stage 1
	QFormer    QFormer    `toml:"qformer"`
	Data       Data       `toml:"data"`
	Projection Projection `toml:"projection,omitempty"`
	Objective  Objective  `toml:"objective"`
	Optimizer  Optimizer  `toml:"optimizer"`
	Swap       *Swap      `toml:"swap"` // nil if no frozen model is swapped
	Evaluation Evaluation `toml:"evaluation"`
	Run        Run        `toml:"run"`

	doc *stricttoml.Document // where the values stand, for messages
}

// defaults returns the recipe whose file says nothing. Some defaults depend on what the
// document says elsewhere: on the stage, on from, on the preset of the Q-Former.
func defaults(doc *stricttoml.Document) *Recipe {
	value, _ := doc.Value("stage")
	stage, _ := value.(int64)
	r := &Recipe{
		Vision:     defaultVision(),
		QFormer:    defaultQFormer(doc),
		Data:       defaultData(),
		Objective:  defaultObjective(stage),
		Optimizer:  defaultOptimizer(),
		Evaluation: defaultEvaluation(stage),
		Run:        defaultRun(),
		doc:        doc,
	}
	if doc.Has("language") {
		r.Language = defaultLanguage()
	}
	if doc.Has("swap") {
		r.Swap = defaultSwap()
	}
	return r
}

// check adds to the document's problems everything that can be said without a registry.
func (r *Recipe) check() {
	r.want("name", r.Name != "", "is empty, want a name for the run")
	r.want("name", r.Name == "" || isPathElement(r.Name), "is %q, want a name without folders: the run's folder has this name", r.Name)
	r.want("stage", r.Stage == 1 || r.Stage == 2, "is %d, want 1 (representation learning) or 2 (generative learning)", r.Stage)
	r.want("from", !strings.HasPrefix(r.From, kitPrefix) || slices.Contains(kitBridges(), r.From),
		"is %q, want one of %s, or a folder%s", r.From, strings.Join(kitBridges(), ", "), didyoumean.Hint(r.From, kitBridges()))
	r.checkPaths()
	r.checkVision()
	r.checkLanguage()
	r.checkQFormer()
	r.checkData()
	r.checkProjection()
	r.checkObjective()
	r.checkOptimizer()
	r.checkSwap()
	r.checkEvaluation()
	r.checkRun()
}

// isPathElement reports whether a name is one element of a path on every system.
func isPathElement(name string) bool {
	return filepath.IsLocal(name) && name != "." && !strings.ContainsAny(name, `/\`)
}

// Encode returns the recipe as a file that loads to the same value.
func (r *Recipe) Encode() ([]byte, error) {
	var buf bytes.Buffer
	printable.Fprintf(&buf, "# %s as it was resolved: every default written out. `bridge recipes check` reads it.\n", r.Name)
	encoder := toml.NewEncoder(&buf)
	encoder.Indent = ""
	if err := encoder.Encode(r); err != nil {
		return nil, fmt.Errorf("encode recipe %s: %w", r.Name, err)
	}
	return buf.Bytes(), nil
}
