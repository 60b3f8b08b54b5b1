package benchmark

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/eval/score"
	"github.com/modular-bridging/bridge/eval/tasks"
	"github.com/modular-bridging/bridge/internal/atomicfile"
)

// resultFormat counts changes of result.json that readers must know of.
const resultFormat = 1

// Result is the content of result.json: the figures of a task, and what they are of.
type Result struct {
	Format int    `json:"format"` // 1
	Task   Task   `json:"task"`
	Model  Model  `json:"model"`
	Data   Data   `json:"data"`
	Subset Subset `json:"subset"`
	// Settings are those that the answers and figures depend on.
	Settings Settings `json:"settings"`

	N        int       `json:"n"`      // samples that were asked, failed ones included
	Failed   int       `json:"failed"` // samples without an answer, which count 0 or as an empty text
	Failures []Failure `json:"failures,omitempty"`
	Figures  []Figure  `json:"figures"` // the main one first, those of groups behind it
	// NotComputed says why a figure is not there, by its key.
	NotComputed map[string]string `json:"not_computed,omitempty"`
	// Paper is nil if the model is none of the published ones, or the task has no figure of it.
	Paper *Paper `json:"paper,omitempty"`
	// Notes and Warnings are sentences for people: what a reader of the figures must know, and
	// what may make them wrong.
	Notes    []string `json:"notes,omitempty"`
	Warnings []string `json:"warnings,omitempty"`

	Seconds          float64 `json:"seconds"` // of all samples, without loading the model
	SamplesPerSecond float64 `json:"samples_per_second"`
	// Answers has the number of distinct answers.
	Answers int    `json:"distinct_answers,omitempty"`
	Upload  string `json:"upload,omitempty"` // the file for an evaluation server

	// Samples are the lines of samples.jsonl, of a result that [Run] returned.
	Samples []Sample `json:"-"`
}

// Task names the task of a result.
type Task struct {
	Name    string `json:"name"`
	Title   string `json:"title"`
	Version int    `json:"version"`
	Digest  string `json:"digest"` // of its TOML file
	Metric  string `json:"metric"`
	How     string `json:"how"` // generate, rank or retrieve
}

// Model identifies a model: the bridge, and its frozen models.
type Model struct {
	Name     string `json:"name"`   // as it was named
	Digest   string `json:"digest"` // of all below
	Bridge   string `json:"bridge"` // digest of the bridge's weights
	Stage    int    `json:"stage"`
	Vision   Side   `json:"vision"`
	Language *Side  `json:"language,omitempty"` // nil in stage 1
	// Published is the id of the published model with these frozen models; empty if there is none.
	Published string `json:"published,omitempty"`
	// Trained says that the bridge was trained by this program: its weights are not the published
	// ones.
	Trained bool `json:"trained_here,omitempty"`
}

// Side identifies a frozen model.
type Side struct {
	ID     string `json:"id"`
	Family string `json:"family"`
	Width  int    `json:"width"`
	Digest string `json:"digest"`
	DType  string `json:"dtype"`
	// Architecture is decoder-only or encoder-decoder, of a language model.
	Architecture string `json:"architecture,omitempty"`
	// Picture is the size of pictures in pixels, of a vision encoder: [height, width].
	Picture []int `json:"picture,omitempty"`
}

// Data identifies the files of a task.
type Data struct {
	Digest string `json:"digest"` // of the annotation files
	Files  []File `json:"files"`
}

// File is a file or a folder that was read.
type File struct {
	Role string `json:"role"` // "questions", "pictures"
	Path string `json:"path"`
}

// Subset says which samples were asked: N of Of, drawn with Seed; all if N is Of.
type Subset struct {
	N    int    `json:"n"`
	Of   int    `json:"of"`
	Seed uint64 `json:"seed"`
}

// All reports whether all samples were asked.
func (s Subset) All() bool { return s.N == s.Of }

// Settings are those that answers and figures depend on, beside the model and the data.
type Settings struct {
	Prompt   string        `json:"prompt"`             // with its fields in braces
	Question string        `json:"question_processor"` // blip_question or none
	Generate *tasks.Decode `json:"generate,omitempty"` // nil unless the task generates
	Rank     string        `json:"rank,omitempty"`     // sum, mean, or sum - unconditional
	Rerank   *int          `json:"rerank,omitempty"`   // candidates that ITM ranks again
	Variant  string        `json:"variant,omitempty"`  // of the metric
	// Tokenizer is that of captions.
	Tokenizer string `json:"tokenizer,omitempty"`
	Batch     int    `json:"batch"`
	Backend   string `json:"backend"`
}

// Failure is a sample without an answer.
type Failure struct {
	ID    string `json:"id"`
	Error string `json:"error"`
}

// Figure is a number of a result. Value, StandardError and Interval are null if the figure is of no
// samples.
type Figure struct {
	Key     string `json:"key"`              // "value", "bleu_4"; docs/evaluation.md lists them
	Title   string `json:"title"`            // for people
	Percent bool   `json:"percent"`          // the numbers are percentages
	Better  string `json:"better,omitempty"` // "lower" if lower is better
	// By and Name are the kind and the name of the group that the figure is of, such as
	// "answer_type" and "number"; empty for figures of all samples.
	By   string `json:"by,omitempty"`
	Name string `json:"name,omitempty"`

	Value         Number    `json:"value"`
	N             int       `json:"n"`
	StandardError Number    `json:"standard_error"` // by the bootstrap
	Interval      [2]Number `json:"interval"`       // 95 %, by the bootstrap
	// Paper is the published value of the same figure; null if there is none.
	Paper *float64 `json:"paper,omitempty"`
}

// mainFigures are the keys of the figures that a task is compared by, by its metric. Of other metrics, it is
// the first one.
var mainFigures = map[string][]string{
	score.Captions: {"cider_d"}, score.Retrieval: {"text_r1", "image_r1"}, score.Winoground: {"group"}, score.MME: {"perception", "cognition"},
}

// Main returns the figures that papers compare models by.
func (out *Result) Main() []Figure {
	var main []Figure
	keys, several := mainFigures[out.Task.Metric]
	for _, f := range out.Figures {
		switch {
		case f.By != "":
		case several && slices.Contains(keys, f.Key), !several && main == nil:
			main = append(main, f)
		}
	}
	return main
}

// Number is a number of JSON, in which null stands for NaN.
type Number float64

// MarshalJSON implements [json.Marshaler].
func (n Number) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(n)) || math.IsInf(float64(n), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// UnmarshalJSON implements [json.Unmarshaler].
func (n *Number) UnmarshalJSON(data []byte) error {
	var f *float64
	if err := json.Unmarshal(data, &f); err != nil {
		return err
	}
	if *n = Number(math.NaN()); f != nil {
		*n = Number(*f)
	}
	return nil
}

// Paper says where the published figures are from.
type Paper struct {
	Model   string   `json:"model"` // title of the published model
	Sources []string `json:"sources"`
	// Differs says what the run did otherwise than the paper, a few words each: size of pictures,
	// prompt, variant, subset, weights.
	Differs []string `json:"differs"`
}

// ReadResult reads the result of a task's folder.
func ReadResult(dir string) (*Result, error) {
	var r Result
	if err := readJSON(filepath.Join(dir, ResultFile), &r); err != nil {
		return nil, err
	}
	return &r, nil
}

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return adapters.Errorf(adapters.Corrupt, "%s: %w", path, err).WithRemedy("run with --fresh, which discards the answers beside it")
	}
	return nil
}

func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.WriteBytes(path, append(data, '\n'))
}
