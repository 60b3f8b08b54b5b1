// Package golden owns golden folders: it reads them, runs their cases and compares the
// results. Every claim "our numbers equal the reference's" is checked by it; `bridge verify`
// runs it. It gets open models behind the contracts and must not know what they are.
//
// A golden folder holds
//
//	checkpoint/           the frozen model, or the whole bridge, as Hugging Face saves it
//	cases.json            the requests
//	tensors.safetensors   inputs and expected outputs: float32, int32 or uint8
//
// An element passes if |got − want| ≤ abs + rel·|want|. NaN never passes; shapes and texts
// must be equal. An encoder is opened once for each size of the pictures ([Folder.BySize]).
// tools/reference writes the folders.
//
// A [Folder] owns the tensors of its cases; a [Runner] only reads them.
package golden

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/jsonfile"
	"github.com/modular-bridging/bridge/internal/weights"
)

// The values of [Folder.Kind].
const (
	KindVision   = string(adapters.KindVision)
	KindLanguage = string(adapters.KindLanguage)
	KindBridge   = "bridge"
)

// Folder is an open golden folder.
type Folder struct {
	Dir       string
	Kind      string // KindVision, KindLanguage or KindBridge
	Source    string // what computed the expected outputs, for people
	Options   Options
	Tolerance Tolerance
	Cases     []Case
}

// Options say how the model is opened.
type Options struct {
	FeatureLayer *int `json:"feature_layer"` // of a vision encoder, as transformers indexes hidden_states
}

// Tolerance bounds the error of an element.
type Tolerance struct {
	Abs float64 `json:"abs"`
	Rel float64 `json:"rel"`
}

// Case is one call with its expected result.
type Case struct {
	Name       string
	Op         string // "encode", "loss", …
	Images     *adapters.Tensor
	Prompts    *adapters.Tensor
	Examples   []adapters.Example
	Candidates [][]string // per example
	Texts      []string   // of op "match", an input
	Generate   adapters.GenerateOptions

	Want Outputs
}

// Outputs are the results of a case: tensors by the names of cases.json, and texts.
type Outputs struct {
	Tensors map[string]*adapters.Tensor
	Texts   []string
}

// Open reads a golden folder, except its checkpoint/.
func Open(dir string) (*Folder, error) {
	path := filepath.Join(dir, "cases.json")
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "%s is not a golden folder: %w", dir, err).
			WithRemedy("name a folder that holds checkpoint/, cases.json and tensors.safetensors")
	}
	tensors, _, err := weights.ReadFile(filepath.Join(dir, "tensors.safetensors"))
	if err != nil {
		return nil, err
	}
	f, err := parse(data, tensors)
	if err != nil {
		return nil, adapters.Errorf(adapters.Corrupt, "%s: %w", path, err)
	}
	f.Dir = dir
	return f, nil
}

// Checkpoint returns the folder of the frozen model.
func (f *Folder) Checkpoint() string { return filepath.Join(f.Dir, "checkpoint") }

// LoadRequest returns the request that opens the folder's model as verify
// does: in float32, whatever the checkpoint holds.
func (f *Folder) LoadRequest(backend string) *adapters.LoadRequest {
	return &adapters.LoadRequest{
		Checkpoint:   f.Checkpoint(),
		Backend:      backend,
		DType:        adapters.Float32,
		FeatureLayer: f.Options.FeatureLayer,
		ImageSize:    f.ImageSize(),
	}
}

// ImageSize returns the size of the cases' pictures if all have the same, and zero without
// pictures. The encoder is opened for this size.
func (f *Folder) ImageSize() (size adapters.Size) {
	if sizes := f.sizes(); len(sizes) == 1 {
		return sizes[0]
	}
	return adapters.Size{}
}

// sizes returns the distinct sizes of the cases' pictures.
func (f *Folder) sizes() (sizes []adapters.Size) {
	for i := range f.Cases {
		if size := f.Cases[i].imageSize(); size != (adapters.Size{}) && !slices.Contains(sizes, size) {
			sizes = append(sizes, size)
		}
	}
	return sizes
}

// imageSize returns the size of a case's pictures, zero without pictures.
func (c *Case) imageSize() adapters.Size {
	if c.Images == nil || len(c.Images.Shape) != 4 {
		return adapters.Size{}
	}
	return adapters.Size{Width: c.Images.Shape[2], Height: c.Images.Shape[1]}
}

// BySize returns the folder once for each size of its cases' pictures, with the
// cases of that size: an encoder is opened for one. Cases without pictures are
// with the first.
func (f *Folder) BySize() []*Folder {
	sizes := f.sizes()
	if len(sizes) < 2 {
		return []*Folder{f}
	}
	parts := make([]*Folder, len(sizes))
	for i := range parts {
		part := *f
		part.Cases = nil
		parts[i] = &part
	}
	for _, c := range f.Cases {
		part := parts[max(0, slices.Index(sizes, c.imageSize()))]
		part.Cases = append(part.Cases, c)
	}
	return parts
}

// document is cases.json.
type document struct {
	Kind      string      `json:"kind"`
	Source    string      `json:"source"`
	Options   Options     `json:"options"`
	Tolerance *Tolerance  `json:"tolerance"`
	Cases     []caseEntry `json:"cases"`
}

// caseEntry is a case of cases.json; a string field of a tensor is its name.
type caseEntry struct {
	Name     string         `json:"name"`
	Op       string         `json:"op"`
	Examples []exampleEntry `json:"examples"`
	Texts    []string       `json:"texts"`
	Options  optionsEntry   `json:"options"`

	Images   string `json:"images"`
	Prompts  string `json:"prompts"`
	Features string `json:"features"`
	Loss     string `json:"loss"`
	Tokens   string `json:"tokens"`
	Gradient string `json:"gradient"`
	Scores   string `json:"scores"`
	Queries  string `json:"queries"`
	ITC      string `json:"itc"`
	ITM      string `json:"itm"`
}

type exampleEntry struct {
	Segments []struct {
		Prompt *int    `json:"prompt"`
		Text   *string `json:"text"`
	} `json:"segments"`
	Target     string   `json:"target"`
	Candidates []string `json:"candidates"`
}

type optionsEntry struct {
	MaxNewTokens      int           `json:"max_new_tokens"`
	MinNewTokens      int           `json:"min_new_tokens"`
	NumBeams          int           `json:"num_beams"`
	LengthPenalty     *float64      `json:"length_penalty"`
	EarlyStopping     earlyStopping `json:"early_stopping"`
	RepetitionPenalty float64       `json:"repetition_penalty"`
}

// earlyStopping is true, false or "never".
type earlyStopping adapters.EarlyStopping

// UnmarshalJSON reads a switch or "never".
func (e *earlyStopping) UnmarshalJSON(data []byte) error {
	switch string(data) {
	case "null", "false":
		*e = earlyStopping(adapters.EarlyStoppingFalse)
	case "true":
		*e = earlyStopping(adapters.EarlyStoppingTrue)
	case `"never"`:
		*e = earlyStopping(adapters.EarlyStoppingNever)
	default:
		return fmt.Errorf("early_stopping is %s, want true, false or \"never\"", data)
	}
	return nil
}

// operations lists, per kind, the ops and the tensors that each must give.
func operations(kind string) map[string][]string {
	return map[string]map[string][]string{
		KindVision:   {"encode": {"features"}},
		KindLanguage: {"loss": {"loss", "tokens"}, "generate": nil, "score": {"scores"}},
		KindBridge: {"queries": {"queries"}, "soft_prompts": {"prompts"}, "loss": {"loss", "tokens"},
			"generate": nil, "match": {"itc", "itm"}},
	}[kind]
}

func parse(data []byte, tensors map[string]*adapters.Tensor) (*Folder, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var d document
	if err := decoder.Decode(&d); err != nil {
		return nil, jsonfile.Explain("", data, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON document")
	}
	if operations(d.Kind) == nil {
		return nil, fmt.Errorf("kind is %q, want %q, %q or %q", d.Kind, KindVision, KindLanguage, KindBridge)
	}
	if len(d.Cases) == 0 {
		return nil, errors.New("there are no cases")
	}
	f := &Folder{Kind: d.Kind, Source: d.Source, Options: d.Options, Tolerance: Tolerance{1e-4, 1e-4}}
	if d.Tolerance != nil {
		f.Tolerance = *d.Tolerance
	}
	for i, entry := range d.Cases {
		c, err := entry.resolve(d.Kind, tensors)
		if err != nil {
			return nil, fmt.Errorf("case %d (%s): %w", i, entry.Name, err)
		}
		f.Cases = append(f.Cases, *c)
	}
	return f, nil
}

// resolve fetches the case's tensors and checks that it expects something.
func (e caseEntry) resolve(kind string, tensors map[string]*adapters.Tensor) (*Case, error) {
	needs, ok := operations(kind)[e.Op]
	if !ok {
		return nil, fmt.Errorf("op is %q, which %s folders do not have", e.Op, kind)
	}
	c := &Case{Name: e.Name, Op: e.Op, Generate: e.Options.generate(), Want: Outputs{Tensors: map[string]*adapters.Tensor{}}}
	fields := map[string]string{"images": e.Images, "prompts": e.Prompts, "features": e.Features, "loss": e.Loss, "tokens": e.Tokens,
		"gradient": e.Gradient, "scores": e.Scores, "queries": e.Queries, "itc": e.ITC, "itm": e.ITM}
	for field, name := range fields {
		if name == "" {
			continue
		}
		t, ok := tensors[name]
		switch {
		case !ok:
			return nil, fmt.Errorf("%s is tensor %q, which tensors.safetensors lacks", field, name)
		case field == "images":
			c.Images = t
		case field == "prompts" && e.Op != "soft_prompts":
			c.Prompts = t
		default:
			c.Want.Tensors[field] = t
		}
	}
	for _, field := range needs {
		if c.Want.Tensors[field] == nil {
			return nil, fmt.Errorf("op %s has no %s to compare with", e.Op, field)
		}
	}
	if e.Op == "generate" {
		c.Want.Texts = e.Texts
	} else {
		c.Texts = e.Texts
	}
	return c, e.addExamples(c)
}

func (e caseEntry) addExamples(c *Case) error {
	for i, x := range e.Examples {
		example := adapters.Example{Target: x.Target}
		for j, s := range x.Segments {
			switch {
			case s.Prompt != nil && s.Text == nil:
				example.Segments = append(example.Segments, adapters.PromptSegment(*s.Prompt))
			case s.Text != nil && s.Prompt == nil:
				example.Segments = append(example.Segments, adapters.TextSegment(*s.Text))
			default:
				return fmt.Errorf("example %d, segment %d: want either prompt or text", i, j)
			}
		}
		c.Examples = append(c.Examples, example)
		if x.Candidates != nil {
			c.Candidates = append(c.Candidates, x.Candidates)
		}
	}
	if e.Op == "generate" && len(e.Texts) != len(e.Examples) {
		return fmt.Errorf("%d texts for %d examples", len(e.Texts), len(e.Examples))
	}
	return nil
}

func (o optionsEntry) generate() adapters.GenerateOptions {
	return adapters.GenerateOptions{MaxNewTokens: o.MaxNewTokens, MinNewTokens: o.MinNewTokens, NumBeams: o.NumBeams,
		LengthPenalty: o.LengthPenalty, EarlyStopping: adapters.EarlyStopping(o.EarlyStopping), RepetitionPenalty: o.RepetitionPenalty}
}

// Dirs returns the golden folders directly under root: those that hold
// cases.json.
func Dirs(root string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(root, "*", "cases.json"))
	if err != nil {
		return nil, err
	}
	for i, file := range files {
		files[i] = strings.TrimSuffix(file, string(filepath.Separator)+"cases.json")
	}
	return files, nil
}
