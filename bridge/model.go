package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/shell"
)

// Model is a bridge joined with its two frozen sides.
type Model struct {
	*Bridge
	Vision   adapters.VisionEncoder
	Language adapters.LanguageModel // nil in stage 1
	Log      *slog.Logger           // gets warnings about texts; nil discards them
}

// Compose joins b with a vision encoder and, in stage 2, a language model. Their widths must
// fit. It logs a warning if their weights or the encoder's layer are not those of the training,
// because that is rarely intended. The model keeps log, which may be nil.
func Compose(b *Bridge, vision adapters.VisionEncoder, language adapters.LanguageModel, log *slog.Logger) (*Model, error) {
	vs := vision.Spec()
	if vs.Width != b.config.EncoderWidth {
		return nil, fmt.Errorf("vision encoder %s gives features of width %d, the bridge was trained for width %d (%s); swap it with: bridge retrain --encoder %s",
			vs.ID, vs.Width, b.config.EncoderWidth, b.Info.Vision.ID, shell.Word(vs.ID))
	}
	warnOtherWeights(log, "vision encoder", vs.ID, vs.Digest, b.Info.Vision)
	if was := b.Info.Vision.Layer; log != nil && was != 0 && was != vs.Layer {
		log.Warn("vision encoder gives features of another layer than the bridge was trained with", "got", vs.Layer, "trained with", was)
	}
	if b.Info.Stage != 2 {
		return &Model{Bridge: b, Vision: vision, Log: log}, nil
	}
	if language == nil {
		return nil, fmt.Errorf("the bridge is of stage 2 and needs its language model %s", b.Info.Language.ID)
	}
	ls := language.Spec()
	if ls.Width != b.config.LanguageWidth {
		return nil, fmt.Errorf("language model %s reads soft prompts of width %d, the bridge makes width %d (for %s); swap it with: bridge retrain --llm %s",
			ls.ID, ls.Width, b.config.LanguageWidth, b.Info.Language.ID, shell.Word(ls.ID))
	}
	warnOtherWeights(log, "language model", ls.ID, ls.Digest, *b.Info.Language)
	return &Model{Bridge: b, Vision: vision, Language: language, Log: log}, nil
}

func warnOtherWeights(log *slog.Logger, what, id, digest string, trained Side) {
	if log == nil || trained.Digest == "" || digest == "" || digest == trained.Digest {
		return
	}
	got, want := id, trained.ID
	if got == want {
		got, want = got+" "+shortDigest(digest), want+" "+shortDigest(trained.Digest)
	}
	log.Warn(what+" has other weights than the bridge was trained with", "got", got, "trained with", want)
}

// shortDigest returns the start of a digest, for people.
func shortDigest(digest string) string {
	algorithm, sum, ok := strings.Cut(digest, ":")
	if !ok {
		algorithm, sum = "", digest
	} else {
		algorithm += ":"
	}
	return algorithm + sum[:min(12, len(sum))]
}

// GenerateOptions steer captions and answers.
type GenerateOptions = adapters.GenerateOptions

// Encode returns the encoder's features [B, N, Denc] of images uint8[B, H, W, 3].
func (m *Model) Encode(ctx context.Context, images *adapters.Tensor) (*adapters.Tensor, error) {
	resp, err := m.Vision.Encode(ctx, &adapters.EncodeRequest{Images: images})
	if err != nil {
		return nil, err
	}
	return resp.Features, nil
}

// Caption describes images uint8[B, H, W, 3].
func (m *Model) Caption(ctx context.Context, images *adapters.Tensor, o GenerateOptions) ([]string, error) {
	if err := m.CheckPrompt(ctx, m.Info.Templates.Caption, o); err != nil {
		return nil, err
	}
	features, err := m.Encode(ctx, images)
	if err != nil {
		return nil, err
	}
	return m.CaptionFeatures(ctx, features, m.Info.Templates.Caption, o)
}

// CaptionFeatures continues prompt for each row of features [B, N, Denc].
func (m *Model) CaptionFeatures(ctx context.Context, features *adapters.Tensor, prompt string, o GenerateOptions) ([]string, error) {
	return m.ContinueFeatures(ctx, features, slices.Repeat([]string{prompt}, features.Shape[0]), o)
}

// ContinueFeatures continues prompts[i], a whole text as the language model reads it, for row i
// of features [B, N, Denc]. An answer ends at the language model's end-of-answer token (OPT: a
// newline, as in LAVIS), and is trimmed.
func (m *Model) ContinueFeatures(ctx context.Context, features *adapters.Tensor, prompts []string, o GenerateOptions) ([]string, error) {
	if len(prompts) != features.Shape[0] {
		return nil, fmt.Errorf("%d prompts for %d pictures, want equal numbers", len(prompts), features.Shape[0])
	}
	examples := make([]adapters.Example, len(prompts))
	for i, prompt := range prompts {
		examples[i] = m.Info.Templates.PrefixExample(i, prompt, "")
	}
	return m.generate(ctx, features, examples, o)
}

// AnswerFeatures answers question i about row i of features [B, N, Denc].
func (m *Model) AnswerFeatures(ctx context.Context, features *adapters.Tensor, questions []string, o GenerateOptions) ([]string, error) {
	if len(questions) != features.Shape[0] {
		return nil, fmt.Errorf("%d questions about %d pictures", len(questions), features.Shape[0])
	}
	examples := make([]adapters.Example, len(questions))
	for i, q := range questions {
		examples[i] = m.Info.Templates.QuestionExample(i, q, "")
	}
	return m.generate(ctx, features, examples, o)
}

// Answer answers question i about image i of images uint8[B, H, W, 3]. It refuses a question
// that the language model cannot read, before it encodes an image.
func (m *Model) Answer(ctx context.Context, images *adapters.Tensor, questions []string, o GenerateOptions) ([]string, error) {
	for _, question := range questions {
		if err := m.CheckQuestion(ctx, question, o); err != nil {
			return nil, err
		}
	}
	features, err := m.Encode(ctx, images)
	if err != nil {
		return nil, err
	}
	return m.AnswerFeatures(ctx, features, questions, o)
}

func (m *Model) generate(ctx context.Context, features *adapters.Tensor, examples []adapters.Example, o GenerateOptions) ([]string, error) {
	prompts, err := m.SoftPrompts(ctx, features)
	if err != nil {
		return nil, err
	}
	resp, err := m.Language.Generate(ctx, &adapters.GenerateRequest{Prompts: prompts, Examples: examples, Options: o}, nil)
	if err != nil {
		return nil, blameField(examples, err)
	}
	return resp.Texts, nil
}

// VisionSide describes an open vision encoder for [Info].
func VisionSide(s adapters.VisionSpec) Side {
	return Side{ID: s.ID, Family: s.Family, Width: s.Width, Digest: s.Digest, Layer: s.Layer, Image: s.Image.Size()}
}

// LanguageSide describes an open language model for [Info].
func LanguageSide(s adapters.LanguageSpec) Side {
	return Side{ID: s.ID, Family: s.Family, Width: s.Width, Digest: s.Digest, TokenNorm: s.TokenNorm}
}
