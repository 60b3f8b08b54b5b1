package adapters

import (
	"context"
	"slices"
)

// Family opens the models of one backbone family, and declares what other packages have
// to know about its checkpoints, so that none of them needs to know a family by name.
// Exactly one of the two Open functions is set, as Kind says.
type Family struct {
	Name         string // "vit", "opt", …
	Kind         ModelKind
	OpenVision   func(ctx context.Context, req *LoadRequest) (VisionEncoder, error)
	OpenLanguage func(ctx context.Context, req *LoadRequest) (LanguageModel, error)

	// ModelTypes are the values of config.json's model_type that the family reads.
	ModelTypes []string
	// Refused are values of model_type for which the family's functions return an error
	// that explains why.
	Refused []string

	// DescribeVision, if not nil, returns the spec of OpenVision's encoder as far as a
	// folder determines it without weights.
	DescribeVision func(checkpoint string) (VisionSpec, error)

	// The other fields are those of a language family. All may be left out.

	// Architecture is the architecture of the family's models.
	Architecture Architecture
	// EndOfAnswer is the text whose token ends an answer. If it is empty, config.json's
	// eos_token_id ends an answer.
	EndOfAnswer string
	// ActivationKey is the key of config.json that [LoadRequest.Activation] replaces. It is
	// empty if the family always uses the checkpoint's activation.
	ActivationKey string
	// Tokenizer, if not nil, returns what a folder's tokenizer files may leave out.
	// modelType is empty if it is not known yet.
	Tokenizer func(modelType string) TokenizerDefaults
	// TensorName, if not nil, returns the name that a checkpoint's tensor has in
	// transformers' class with a language modeling head. It returns "" for a tensor that
	// this class does not have.
	TensorName func(name string) string
}

// TokenizerDefaults are properties of a tokenizer that the files of a checkpoint folder may
// leave out, because transformers takes them from the model type.
type TokenizerDefaults struct {
	ModelType string // for error messages
	// Class is transformers' class of the tokenizer if the folder names none:
	// "GPT2Tokenizer", "LlamaTokenizer", "T5Tokenizer". If it is empty too, the tokenizer is
	// read from tokenizer.json only.
	Class string
	// IgnoreClass is set if a SentencePiece model is read as Class even if the folder names
	// another class.
	IgnoreClass bool
	// SentencePiece is the name of the family's SentencePiece model, empty if it has none.
	SentencePiece string
	// BOS is set if the tokenizer puts the bos token before a text.
	BOS bool
	// SpecialToken is the bos, eos and unk token of a byte-level tokenizer; empty means
	// "<|endoftext|>".
	SpecialToken string
}

// FamilyOf returns the family that reads a model_type, or that refuses it with a reason.
func FamilyOf(families []Family, modelType string) (f Family, ok bool) {
	i := slices.IndexFunc(families, func(f Family) bool {
		return slices.Contains(f.ModelTypes, modelType) || slices.Contains(f.Refused, modelType)
	})
	if i < 0 {
		return Family{}, false
	}
	return families[i], true
}

// TokenizerFor returns the defaults of the tokenizer of a model_type.
func (f Family) TokenizerFor(modelType string) TokenizerDefaults {
	if f.Tokenizer == nil {
		return TokenizerDefaults{ModelType: modelType}
	}
	d := f.Tokenizer(modelType)
	d.ModelType = modelType
	return d
}
