package bridge

import "github.com/modular-bridging/bridge/adapters"

// Info records what a bridge was trained with. It prevents joining the bridge with
// something else by accident, and tells a swap what it replaces.
type Info struct {
	// Stage is 1 after representation learning, 2 after generative learning.
	Stage int `json:"stage"`
	// Vision and Language name the frozen sides; Language is zero in stage 1.
	Vision   Side  `json:"vision"`
	Language *Side `json:"language,omitempty"`
	// Templates are the texts of the stage-2 training.
	Templates *Templates `json:"prompts,omitempty"`
	// Words are those that the projection speaks in, in the order of its weights; nil if it
	// is linear.
	Words []string `json:"projection_words,omitempty"`
	// TrainedOn names the data and objectives of the training, for people.
	TrainedOn []string `json:"trained_on,omitempty"`
	// Stage1 is the stage-1 bridge that this one was trained from: a folder or a kit id
	// ("kit:stage1"). The cold start of a swap begins there again.
	Stage1 string `json:"stage1,omitempty"`
	// Retrieval is the result at the end of stage 1. Stage 2 drops the heads that
	// measure it and keeps the figures of the stage-1 bridge.
	Retrieval *Retrieval `json:"retrieval,omitempty"`
	// Steps is the number of optimizer steps in all stages.
	Steps int `json:"steps"`

	// Stage1Rel is Stage1 relative to the bridge's folder, as [Side.PathRel] is.
	Stage1Rel string `json:"stage1_from_here,omitempty"`
	// Project is the absolute path of the project folder that the bridge is saved in,
	// empty without a project. It is not saved: [Bridge.Save] uses it to decide which
	// paths it saves as relative ones too.
	Project string `json:"-"`
}

// Retrieval is recall at 1 by ITC among held-out pairs.
type Retrieval struct {
	Pairs   int     `json:"pairs"`
	TextR1  float64 `json:"text_r1"`
	ImageR1 float64 `json:"image_r1"`
}

// Side names a frozen model.
type Side struct {
	ID     string `json:"id"`
	Path   string `json:"path,omitempty"`   // of the checkpoint folder, if the id is not a registry id
	Plugin string `json:"plugin,omitempty"` // path of a third-party adapter: its folder or executable
	// PluginVersion, PluginDigest and PluginParts identify the plugin of the training;
	// PluginParts has a digest for each entry of its folder. Bridges of older versions have
	// none.
	PluginVersion string            `json:"plugin_version,omitempty"`
	PluginDigest  string            `json:"plugin_digest,omitempty"`
	PluginParts   map[string]string `json:"plugin_parts,omitempty"`
	// Files are the digests of the files that the model's output depends on, by name, and
	// Activation replaces the checkpoint's. AllFiles is set if both are complete: bridges of
	// older versions have neither.
	Files      map[string]string `json:"files,omitempty"`
	AllFiles   bool              `json:"all_files,omitempty"`
	Activation string            `json:"activation,omitempty"`
	// PathRel and PluginRel are Path and Plugin relative to the bridge's folder, with
	// slashes. They exist in the file only: [ReadInfo] replaces Path and Plugin by them if
	// something is there, so that a project can be moved as a whole.
	PathRel   string `json:"path_from_here,omitempty"`
	PluginRel string `json:"plugin_from_here,omitempty"`

	Family          string        `json:"family"`
	Width           int           `json:"width"`
	Digest          string        `json:"digest"`
	Layer           int           `json:"layer,omitempty"`      // feature layer of a vision encoder
	Image           adapters.Size `json:"image,omitzero"`       // size of the pictures for a vision encoder; zero: its own
	TokenNorm       float32       `json:"token_norm,omitempty"` // of a language model
	TokenizerDigest string        `json:"words,omitempty"`      // digest of its tokenizer's files; bridges of older versions have none
}
