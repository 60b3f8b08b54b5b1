package bridge

import "github.com/modular-bridging/bridge/adapters"

// Info says what a bridge was trained with, so that it is not joined with
// something else by accident and a swap knows where it comes from.
type Info struct {
	// Stage is 1 after representation learning, 2 after generative learning.
	Stage int `json:"stage"`
	// Vision and Language name the frozen sides; Language is zero in stage 1.
	Vision   Side  `json:"vision"`
	Language *Side `json:"language,omitempty"`
	// Prompts are those of the stage-2 training.
	Prompts *Prompts `json:"prompts,omitempty"`
	// TrainedOn says which data and objectives the bridge saw, for people.
	TrainedOn []string `json:"trained_on,omitempty"`
	// Stage1 is the stage-1 bridge that this one began from: the cold start of
	// a swap begins there again. A folder or a kit id ("kit:stage1").
	Stage1 string `json:"stage1,omitempty"`
	// Retrieval is what stage 1 ended with. Stage 2 drops the heads that measure
	// it, so there it is that of the stage-1 bridge.
	Retrieval *Retrieval `json:"retrieval,omitempty"`
	// Steps is the optimizer steps of all stages.
	Steps int `json:"steps"`

	// Stage1Here is Stage1 as [Side.PathHere] is Path.
	Stage1Here string `json:"stage1_from_here,omitempty"`
	// Project is the folder of the project that the bridge is saved in, absolute;
	// empty where there is none. It is not saved: it decides what is saved as lying
	// in it.
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
	Path   string `json:"path,omitempty"`   // of the checkpoint folder, where the id is not a registry's
	Plugin string `json:"plugin,omitempty"` // path of a third-party adapter: its folder or executable
	// PluginVersion, PluginDigest and PluginParts are what the plugin was in training,
	// the last by the entries of its folder; bridges of older versions have none.
	PluginVersion string            `json:"plugin_version,omitempty"`
	PluginDigest  string            `json:"plugin_digest,omitempty"`
	PluginParts   map[string]string `json:"plugin_parts,omitempty"`
	// PathHere and PluginHere are Path and Plugin from the bridge's own folder, with
	// slashes, in the file alone: [ReadInfo] takes what is there, so that a project
	// can be moved as a whole.
	PathHere   string `json:"path_from_here,omitempty"`
	PluginHere string `json:"plugin_from_here,omitempty"`

	Family    string        `json:"family"`
	Width     int           `json:"width"`
	Digest    string        `json:"digest"`
	Layer     int           `json:"layer,omitempty"`      // of a vision encoder
	Image     adapters.Size `json:"image,omitzero"`       // that a vision encoder takes; zero: its own
	TokenNorm float32       `json:"token_norm,omitempty"` // of a language model
	Words     string        `json:"words,omitempty"`      // digest of its tokenizer's files; bridges of older versions have none
}
