package recipes

import (
	"strings"

	"github.com/modular-bridging/bridge/bridge"
)

// Language is the table [language], of stage 2 only: the frozen language model, and the
// texts around captions and questions. bridge.Templates defines the meaning of the texts.
type Language struct {
	Backbone
	// CaptionTemplate is the prompt of a caption: "a photo of". Default: that of the
	// model's manifest.
	CaptionTemplate *string `toml:"caption_prompt"`
	// QuestionTemplate is the prompt of a question, which replaces {}: "Question: {}
	// Answer:". Default: that of the model's manifest.
	QuestionTemplate *string `toml:"question_prompt"`
	// TargetPrefix is put before a caption or an answer that is learnt: " " for models
	// whose tokens of words begin with a space. Default: that of the model's manifest.
	TargetPrefix *string `toml:"target_prefix"`
}

// defaultLanguage returns what the table is before its keys are read. A recipe without
// the table has none.
func defaultLanguage() *Language { return &Language{Backbone: defaultBackbone()} }

func (r *Recipe) checkLanguage() {
	l := r.Language
	r.want("language", r.Stage != 1 || l == nil, "is given, but stage 1 trains without a language model; remove it or set stage = 2")
	r.want("language", r.Stage == 1 || l != nil, "is missing, want the language model that stage 2 trains for")
	if l == nil {
		return
	}
	r.checkBackbone("language", l.Backbone)
	if q := l.QuestionTemplate; q != nil {
		r.want("language.question_prompt", *q == "" || strings.Count(*q, "{}") == 1, "is %q, want {} once, where the question goes", *q)
	}
}

// resolveLanguage fills in what the language model's manifest says, and checks what
// depends on it.
func (r *Resolved) resolveLanguage() {
	m, l := r.LanguageModel, r.Language
	if l.DType == "" {
		l.DType = m.DType
	}
	for _, t := range []struct {
		text  **string
		value string
	}{{&l.CaptionTemplate, m.Templates.Caption}, {&l.QuestionTemplate, m.Templates.Question}, {&l.TargetPrefix, m.Templates.TargetPrefix}} {
		if *t.text == nil {
			*t.text = &t.value
		}
	}
	r.want("data.questions", r.Data.Questions == 0 || *l.QuestionTemplate != "",
		"is %v, but language.question_prompt is empty", r.Data.Questions)
	r.checkArchitecture(m.Manifest)
}

// Templates returns the texts around captions and questions; zero in stage 1.
func (r *Resolved) Templates() bridge.Templates {
	if r.Language == nil {
		return bridge.Templates{}
	}
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	return bridge.Templates{
		Caption:      text(r.Language.CaptionTemplate),
		Question:     text(r.Language.QuestionTemplate),
		TargetPrefix: text(r.Language.TargetPrefix),
	}
}
