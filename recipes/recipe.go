package recipes

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/BurntSushi/toml"

	"github.com/modular-bridging/bridge/internal/stricttoml"
	"github.com/modular-bridging/bridge/train"
)

// Recipe is a run as its file describes it.
type Recipe struct {
	Name  string `toml:"name"`
	Stage int    `toml:"stage"` // 1 representation learning, 2 generative learning
	Seed  uint64 `toml:"seed"`
	// From is the bridge to start from: a run folder, a checkpoint folder, or
	// one of the kit's ("kit:stage1"); empty means random weights.
	From string `toml:"from"`

	Vision     Vision     `toml:"vision"`
	Language   *Language  `toml:"language"` // stage 2 only
	QFormer    QFormer    `toml:"qformer"`
	Data       Data       `toml:"data"`
	Objective  Objective  `toml:"objective"`
	Optimizer  Optimizer  `toml:"optimizer"`
	Swap       *Swap      `toml:"swap"` // retraining after a swap of the language model
	Evaluation Evaluation `toml:"evaluation"`
	Run        Run        `toml:"run"`

	doc *stricttoml.Document // where the values stand, for messages
}

// Backbone names a frozen model and how it is opened.
type Backbone struct {
	ID        string `toml:"id,omitempty"`        // in the registry, or a folder
	Path      string `toml:"path,omitempty"`      // of a folder, instead of an id: a Hugging Face checkpoint, or what the plugin reads
	Plugin    string `toml:"plugin,omitempty"`    // name of a third-party adapter, or the path of its folder or executable; resolved: a path
	Isolation string `toml:"isolation"`           // "process" or "none"
	Transport string `toml:"transport,omitempty"` // of tensors between processes: "shared-memory" or "grpc"; empty or "auto": the first where there is one
	DType     string `toml:"dtype,omitempty"`     // "float32" or "bfloat16"; empty: the manifest's
	Limits

	// Of a plugin. The user's settings can ask for more, not for less.
	Locked      bool     `toml:"locked,omitempty"`      // start it only if the project's bridge.lock pins it
	Sandbox     string   `toml:"sandbox,omitempty"`     // "on": without network, and with few files; "none"
	Environment []string `toml:"environment,omitempty"` // variables that it may see beside those that all plugins see
}

// Vision is the frozen encoder.
type Vision struct {
	Backbone
	FeatureLayer *int `toml:"feature_layer"`       // as transformers indexes hidden_states
	ImageSize    int  `toml:"image_size,omitzero"` // pixels a side; 0: the encoder's own. Position embeddings are resized to it
}

// Language is the frozen language model. The texts replace the manifest's.
type Language struct {
	Backbone
	CaptionTemplate  *string `toml:"caption_prompt"`
	QuestionTemplate *string `toml:"question_prompt"`
	TargetPrefix     *string `toml:"target_prefix"`
}

// QFormer is the shape of a Q-Former that starts from random weights, under
// the names of BLIP-2's paper and configuration. With From, the shape is that
// bridge's and only Dropout may be given.
type QFormer struct {
	Preset     string   `toml:"preset,omitempty"` // "base" (the paper's) or "tiny" (the kit's); other keys change it
	HiddenSize int      `toml:"hidden_size,omitzero"`
	Layers     int      `toml:"layers,omitzero"`
	Heads      int      `toml:"heads,omitzero"`
	FFNSize    int      `toml:"intermediate_size,omitzero"`
	Queries    int      `toml:"query_tokens,omitzero"`
	CrossEvery int      `toml:"cross_attention_frequency,omitzero"`
	Projection int      `toml:"projection_dim,omitzero"`          // of ITC's embeddings
	Positions  int      `toml:"max_position_embeddings,omitzero"` // longest text
	InitStd    float64  `toml:"initializer_range,omitzero"`
	Dropout    *float64 `toml:"dropout"`
	Tokenizer  string   `toml:"tokenizer,omitempty"` // of the text side: a folder, or the kit's ("kit:qformer")
	Init       string   `toml:"init,omitempty"`      // BERT whose weights it starts with, a folder or a repository in the Hugging Face cache; empty: random
}

// Data is what the run sees.
type Data struct {
	Train Source `toml:"train"`
	Eval  Source `toml:"eval"` // held out: evaluated, never trained on
	// Questions is the fraction of examples that are questions; stage 2 only.
	Questions float64 `toml:"questions"`
	// Similar is the fraction of a batch that shares a word with the rest of
	// it, for hard negatives; stage 1 only.
	Similar float64 `toml:"similar"`
	// CaptionProcessing is "none" or "blip" (lower case, no punctuation, at
	// most 50 words).
	CaptionProcessing string `toml:"caption_processing"`
	// MaxTextTokens is the most tokens of a caption or an answer in stage 2;
	// longer ones are cut. 0 cuts none.
	MaxTextTokens int `toml:"max_text_tokens"`
}

// Source is a data set: one of the kit's by id, or files in LAVIS's layout,
// captions, questions or both. In a recipe the id may stand alone: train = "kit:train".
type Source struct {
	ID          string `toml:"id,omitempty"`
	Pictures    int    `toml:"pictures,omitzero"`     // how many of the kit's scenes; 0: all
	Annotations string `toml:"annotations,omitempty"` // JSON of image, caption, image_id
	Questions   string `toml:"questions,omitempty"`   // JSON of image, question, answer
	Images      string `toml:"images,omitempty"`      // folder that the files' names are relative to
}

// UnmarshalText reads a source that is given as its id.
func (s *Source) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New(`is empty, want an id such as "kit:train" or a table`)
	}
	*s = Source{ID: string(text)}
	return nil
}

// captioned reports whether the pictures may have captions.
func (s Source) captioned() bool { return s.Annotations != "" || s.Questions == "" }

// shares reports whether two sources have pictures in common for certain.
func (s Source) shares(o Source) bool {
	same := func(a, b string) bool { return a != "" && filepath.Clean(a) == filepath.Clean(b) }
	return same(s.ID, o.ID) || same(s.Annotations, o.Annotations) || same(s.Questions, o.Questions)
}

// Objective is what is minimised.
type Objective struct {
	Name string  `toml:"name"`         // of an objective in package train/objective
	ITC  float64 `toml:"itc,omitzero"` // weights of stage 1's three losses
	ITM  float64 `toml:"itm,omitzero"`
	ITG  float64 `toml:"itg,omitzero"`
}

// Optimizer is AdamW's figures and the schedule: linear warm-up, then a cosine
// down to MinFactor of the peak.
type Optimizer struct {
	LR           float64    `toml:"lr"`
	QFormerLR    float64    `toml:"qformer_lr,omitzero"`    // 0: lr
	ProjectionLR float64    `toml:"projection_lr,omitzero"` // 0: lr
	Betas        [2]float64 `toml:"betas"`
	Eps          float64    `toml:"eps"`
	WeightDecay  float64    `toml:"weight_decay"`
	ClipNorm     float64    `toml:"clip_norm"` // 0 does not clip
	Warmup       int        `toml:"warmup"`
	Steps        int        `toml:"steps"`
	MinFactor    float64    `toml:"min_factor"`
	Batch        int        `toml:"batch"`
	Accumulate   int        `toml:"accumulate"` // micro-batches of a batch
}

// Swap is what happens when a frozen model is another one than the bridge was
// trained for.
type Swap struct {
	// Encoder is where cross-attention's keys and values come from when the
	// encoder is another one; without it another encoder is refused.
	Encoder       train.EncoderInit    `toml:"encoder,omitempty"`
	Projection    train.ProjectionInit `toml:"projection"`
	WarmupSteps   int                  `toml:"warmup_steps"`   // of the projection alone; 0 skips the warm-up
	FreezeQFormer bool                 `toml:"freeze_qformer"` // to the end: the projection alone is trained
	WarmupLR      float64              `toml:"warmup_lr"`
	WarmupImages  int                  `toml:"warmup_images"`    // whose Q-Former outputs are cached
	ColdLR        float64              `toml:"cold_lr,omitzero"` // of the cold start that is compared; 0: optimizer.lr
}

// Evaluation is what is measured on held-out data.
type Evaluation struct {
	Every         int `toml:"every"` // steps; 0: at the end of a stage only
	Examples      int `toml:"examples"`
	Captions      int `toml:"captions"`
	FinalCaptions int `toml:"final_captions,omitzero"` // 0: captions
	Rerank        int `toml:"rerank,omitzero"`         // stage 1: candidates that ITM ranks again at the end
}

// Run is how the run is kept.
type Run struct {
	Backend         string `toml:"backend"`
	CheckpointEvery int    `toml:"checkpoint_every"` // steps; 0: at the end of a stage only
	Keep            int    `toml:"keep"`
	FeatureCache    bool   `toml:"feature_cache"`
}

// Encode returns the recipe as a file that loads to the same value.
func (r *Recipe) Encode() ([]byte, error) {
	var buf bytes.Buffer
	fmt.Fprintf(&buf, "# %s as it was resolved: every default written out. `bridge recipes check` reads it.\n", r.Name)
	encoder := toml.NewEncoder(&buf)
	encoder.Indent = ""
	if err := encoder.Encode(r); err != nil {
		return nil, fmt.Errorf("encode recipe %s: %w", r.Name, err)
	}
	return buf.Bytes(), nil
}

// Cold returns the baseline of a swap's recipe: the same steps, data and
// schedule shape, from the stage-1 bridge with a fresh projection, at the cold
// start's own learning rate.
func (r *Recipe) Cold(stage1 string) *Recipe {
	c := *r
	c.Name, c.From = r.Name+"-cold", stage1
	if r.Swap == nil {
		return &c
	}
	c.Swap = nil
	if r.Swap.Encoder != "" { // another encoder's keys and values mean nothing to the old ones
		c.Swap = &Swap{Encoder: train.EncoderFresh, Projection: train.ProjectionFresh}
	}
	c.Optimizer.Steps += r.Swap.WarmupSteps
	if r.Swap.ColdLR > 0 {
		c.Optimizer.LR, c.Optimizer.QFormerLR, c.Optimizer.ProjectionLR = r.Swap.ColdLR, 0, 0
	}
	return &c
}
