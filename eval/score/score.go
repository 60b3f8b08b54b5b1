package score

import (
	"context"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/eval/metrics/jars"
	"github.com/modular-bridging/bridge/internal/didyoumean"
)

// The kinds of benchmarks.
const (
	VQA           = "vqa"
	Captions      = "captions"
	GQA           = "gqa"
	AOKVQA        = "aokvqa"
	Answerability = "vizwiz-answerability"
	POPE          = "pope"
	MME           = "mme"
	ScienceQA     = "scienceqa"
	VSR           = "vsr"
	HatefulMemes  = "hatefulmemes"
	Retrieval     = "retrieval"
	Winoground    = "winoground"
)

// Options are the files and the settings of a scorer. Each kind needs some of them.
type Options struct {
	Predictions string // file, or folder for MME
	Against     string // other predictions to compare with; may be empty
	Questions   string
	Annotations string
	References  string
	Splits      string // pid_splits.json of ScienceQA; may be empty
	Split       string // a split of Splits
	TextScores  string // retrieval: scores of pictures for texts; may be empty

	Variant   string   // of VQA accuracy or GQA; empty: official
	Tokenizer string   // of captions: ptb, none or ptb-jar; empty: ptb
	Metrics   []string // of captions; nil: all that can be computed

	// AllowMissing lets questions without a prediction count 0.
	AllowMissing bool
	// Jars is the folder with METEOR, SPICE and the official tokenizer.
	Jars jars.Folder
}

// scorer scores one file of predictions.
type scorer func(ctx context.Context, o Options) (*Result, error)

func scorers() map[string]scorer {
	return map[string]scorer{
		VQA: scoreVQA, Captions: scoreCaptions, GQA: scoreGQA, AOKVQA: scoreAOKVQA, Answerability: scoreAnswerability,
		POPE: scorePOPE, MME: scoreMME, ScienceQA: scoreScienceQA,
		VSR: scoreVSR, HatefulMemes: scoreHatefulMemes, Retrieval: scoreRetrieval, Winoground: scoreWinoground,
	}
}

// Score scores predictions by the kind of benchmark. With Against it also scores the other
// predictions, and compares them.
func Score(ctx context.Context, kind string, o Options) (*Result, error) {
	score, ok := scorers()[kind]
	if !ok {
		return nil, adapters.Errorf(adapters.Invalid, "there is no benchmark %q", kind)
	}
	r, err := score(ctx, o)
	if err != nil || o.Against == "" {
		return r, err
	}
	other := o
	other.Predictions, other.Against = o.Against, ""
	second, err := score(ctx, other)
	if err != nil {
		return nil, err
	}
	r.Compare(o.Against, second)
	r.noteUncompared(o.Predictions)
	for _, note := range second.Counts.Notes {
		if !slices.Contains(r.Counts.Notes, note) {
			r.Counts.Notes = append(r.Counts.Notes, note)
		}
	}
	return r, nil
}

// choice returns a setting, or the first choice if it is empty.
func choice(what, got string, choices []string) (string, error) {
	if got == "" {
		return choices[0], nil
	}
	if !slices.Contains(choices, got) {
		return "", adapters.Errorf(adapters.Invalid, "%s is %q, want one of %v%s", what, got, choices, didyoumean.Hint(got, choices))
	}
	return got, nil
}
