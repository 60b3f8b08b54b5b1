package tasks

import (
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// Task is a benchmark: the content of a TOML file.
type Task struct {
	Name  string `toml:"name"`  // that of the file, without .toml
	Title string `toml:"title"` // for people
	// Aliases are other names of the task, such as lmms-eval's.
	Aliases []string `toml:"aliases"`
	// Version counts changes that change results. It is part of the digest, as all else.
	Version int `toml:"version"`
	// Tasks makes the task a group of others, in whose place it can be named. A group has
	// nothing else, except Mean.
	Tasks []string `toml:"tasks"`
	// Mean are the keys of the figures of which a group shows the mean of its tasks.
	Mean []string `toml:"mean"`

	Data     Data         `toml:"data"`
	Prompt   Prompt       `toml:"prompt"`
	Generate Generate     `toml:"generate"`
	Rank     Rank         `toml:"rank"`
	Retrieve Retrieve     `toml:"retrieve"`
	Metric   Metric       `toml:"metric"`
	Paper    []PaperValue `toml:"paper"`
	// Notes say what a reader of the figures must know, a sentence each.
	Notes []string `toml:"notes"`

	digest string // of the whole file
}

// Data says which files a task reads.
type Data struct {
	// Format is one of [Formats].
	Format string `toml:"format"`
	// Files are the files by their role in the format, such as questions. The first name that is
	// found counts. A name that begins with "kit:" is a file of the kit's benchmarks.
	Files map[string][]string `toml:"files"`
	// Pictures are folders of pictures. The first that is found counts. A folder that begins with
	// "kit:" is one of the kit's benchmarks.
	Pictures []string `toml:"pictures"`
	// Split is the part of the files that the task is about, in formats that have several.
	Split string `toml:"split"`
	// Expect is the number of samples. A set of another size is an error, unless it is 0.
	Expect int `toml:"expect"`
}

// Architecture is the kind of a language model that settings depend on.
type Architecture = adapters.Architecture

// ByKind is a text that may differ by the kind of language model. A kind without a text of its
// own has the default.
type ByKind struct {
	Default        *string `toml:"default"`
	DecoderOnly    *string `toml:"decoder-only"`
	EncoderDecoder *string `toml:"encoder-decoder"`
}

// For returns the text for a kind of language model.
func (b ByKind) For(kind Architecture) string {
	text := b.Default
	switch {
	case kind == adapters.DecoderOnly && b.DecoderOnly != nil:
		text = b.DecoderOnly
	case kind == adapters.EncoderDecoder && b.EncoderDecoder != nil:
		text = b.EncoderDecoder
	}
	if text == nil {
		return ""
	}
	return *text
}

// Prompt says what a language model reads behind the picture.
type Prompt struct {
	ByKind
	// Question is the processor of the question: blip_question (the default), or none.
	Question string `toml:"question"`
}

// The processors of questions.
const (
	BLIPQuestion = "blip_question" // LAVIS: see data.ProcessQuestion
	NoProcessor  = "none"
)

// The fields that a prompt may have, in braces.
const (
	QuestionField = "{question}" // the sample's question, processed
	ContextField  = "{context}"  // its context; "" if it has none
	ChoicesField  = "{choices}"  // its choices: "(a) red (b) blue"
)

// Decode are the settings of generation. Nil means that of the outer table, or bridge's default.
type Decode struct {
	Beams             *int     `toml:"beams" json:"beams,omitempty"`
	MaxNewTokens      *int     `toml:"max_new_tokens" json:"max_new_tokens,omitempty"`
	MinNewTokens      *int     `toml:"min_new_tokens" json:"min_new_tokens,omitempty"`
	LengthPenalty     *float64 `toml:"length_penalty" json:"length_penalty,omitempty"`
	RepetitionPenalty *float64 `toml:"repetition_penalty" json:"repetition_penalty,omitempty"`
}

// Generate are the settings of generation, by kind of language model.
type Generate struct {
	Decode
	DecoderOnly    Decode `toml:"decoder-only"`
	EncoderDecoder Decode `toml:"encoder-decoder"`
}

// For returns the settings for a kind of language model.
func (g Generate) For(kind Architecture) Decode {
	d, own := g.Decode, g.EncoderDecoder
	if kind == adapters.DecoderOnly {
		own = g.DecoderOnly
	}
	set(&d.Beams, own.Beams)
	set(&d.MaxNewTokens, own.MaxNewTokens)
	set(&d.MinNewTokens, own.MinNewTokens)
	set(&d.LengthPenalty, own.LengthPenalty)
	set(&d.RepetitionPenalty, own.RepetitionPenalty)
	return d
}

// Options returns the settings as a language model takes them.
func (d Decode) Options() adapters.GenerateOptions {
	return adapters.GenerateOptions{NumBeams: value(d.Beams), MaxNewTokens: value(d.MaxNewTokens), MinNewTokens: value(d.MinNewTokens),
		LengthPenalty: d.LengthPenalty, RepetitionPenalty: value(d.RepetitionPenalty)}
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func set[T any](to **T, from *T) {
	if from != nil {
		*to = from
	}
}

// Rank makes a task one that ranks candidates instead of generating a text.
type Rank struct {
	// By is the score of a candidate: sum, mean, or "sum - unconditional". Empty means that the
	// task does not rank.
	By string `toml:"by"`
	// Candidates are those of every sample. Without any, each sample has its own.
	Candidates []string `toml:"candidates"`
}

// The scores by which candidates are ranked: that of a candidate is its tokens' sum of −log p,
// its mean a token, or the sum less that without the picture. The lowest is best.
const (
	BySum  = "sum"
	ByMean = "mean"
	ByGain = "sum - unconditional"
)

// Retrieve makes a task one that compares pictures with texts by a bridge's text side.
type Retrieve struct {
	// Rerank is how many candidates of each query ITM ranks again. Nil means that the task does
	// not retrieve.
	Rerank *int `toml:"rerank"`
	// Caption is the processor of captions: blip_caption (the default), or none.
	Caption string `toml:"caption"`
	// TextTokens is the length at which captions are cut, with [CLS] and [SEP].
	TextTokens int `toml:"text_tokens"`
	// Language is the prompt before a caption if the language model compares it with pictures. It
	// does so if the bridge has no text side. Nil means that such a bridge is refused.
	Language *string `toml:"language"`
}

// BLIPCaption is LAVIS's processor of captions: see data.ProcessCaption.
const BLIPCaption = "blip_caption"

// Metric says how answers are scored.
type Metric struct {
	// Name is one of those of package eval/score.
	Name string `toml:"name"`
	// Variant is that of the metric, if it has several.
	Variant string `toml:"variant"`
	// By are the kinds of groups that get figures of their own, such as answer_type.
	By []string `toml:"by"`
}

// PaperValue is a figure that was published.
type PaperValue struct {
	Model  string `toml:"model"`  // id of one of [PublishedModels]
	Figure string `toml:"figure"` // key of the figure; empty means value
	// Group is the group that the figure is of, such as "domain: in-domain"; empty for all samples.
	Group  string  `toml:"group"`
	Value  float64 `toml:"value"`  // on the scale of bridge's figure
	Source string  `toml:"source"` // with the number of the table
	// Differs says what the paper did otherwise than the task does, such as another prompt.
	Differs string `toml:"differs"`
}

// How says how a task's answers come about.
type How string

// The ways to answer.
const (
	Generates How = "generate" // a language model writes a text
	Ranks     How = "rank"     // a language model ranks candidates
	Retrieves How = "retrieve" // a bridge's text side compares pictures with texts
)

// How returns how the task's answers come about.
func (t *Task) How() How {
	switch {
	case t.Retrieve.Rerank != nil:
		return Retrieves
	case t.Rank.By != "":
		return Ranks
	}
	return Generates
}

// IsGroup reports whether the task is a group of others.
func (t *Task) IsGroup() bool { return len(t.Tasks) > 0 }

// Digest identifies the content of the task's file, "sha256:…".
func (t *Task) Digest() string { return t.digest }

// Ask returns what a language model reads for a sample, behind the picture.
func (t *Task) Ask(s Sample, kind Architecture) string {
	return strings.NewReplacer(QuestionField, t.question(s), ContextField, s.Context, ChoicesField, listed(s.Choices)).Replace(t.Prompt.For(kind))
}

// listed returns choices with letters: "(a) red (b) blue".
func listed(choices []string) string {
	parts := make([]string, len(choices))
	for i, c := range choices {
		parts[i] = "(" + string(rune('a'+i)) + ") " + c
	}
	return strings.Join(parts, " ")
}
