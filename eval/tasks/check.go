package tasks

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/eval/score"
	"github.com/modular-bridging/bridge/internal/didyoumean"
	"github.com/modular-bridging/bridge/internal/stricttoml"
)

// checker adds problems to a document.
type checker struct {
	*stricttoml.Document
}

// want adds a problem at a key unless ok.
func (c checker) want(ok bool, key, format string, args ...any) {
	if !ok {
		c.Errorf(key, format, args...)
	}
}

// oneOf adds a problem unless a value is one of the choices.
func (c checker) oneOf(key, got string, choices []string) {
	c.want(slices.Contains(choices, got), key, "is %q, want one of %s%s", got, strings.Join(choices, ", "), didyoumean.Hint(got, choices))
}

// check adds everything that is wrong with the task.
func (t *Task) check(doc *stricttoml.Document, name string) {
	c := checker{doc}
	c.want(t.Name == name, "name", "is %q, want %q as the file's name says", t.Name, name)
	c.want(t.Title != "", "title", "is empty, want a title for people")
	if t.IsGroup() {
		for _, table := range []string{"data", "prompt", "generate", "rank", "retrieve", "metric", "paper"} {
			c.want(!doc.Has(table), table, "a group has no %s: its tasks have", table)
		}
		return
	}
	c.want(len(t.Mean) == 0, "mean", "is for groups; the task names no tasks")
	c.want(t.Version > 0, "version", "is %d, want a number of at least 1", t.Version)
	t.checkData(c)
	t.checkAnswers(c)
	t.checkMetric(c)
	t.checkPaper(c)
}

func (t *Task) checkData(c checker) {
	c.oneOf("data.format", t.Data.Format, Formats())
	roles := formats[t.Data.Format].roles
	for _, role := range roles {
		c.want(len(t.Data.Files[role]) > 0, "data.files", "has no %s, which the format %s needs", role, t.Data.Format)
	}
	for role, names := range t.Data.Files {
		c.want(slices.Contains(roles, role) || roles == nil, "data.files."+role, "is no file of the format %s, want %s", t.Data.Format, strings.Join(roles, ", "))
		for _, name := range names {
			c.want(name != "", "data.files."+role, "has an empty name")
		}
	}
	c.want(len(t.Data.Pictures) > 0 || formats[t.Data.Format].ownPictures, "data.pictures", "is empty, want folders of pictures")
	c.want(t.Data.Expect >= 0, "data.expect", "is %d, want a number of samples, or 0 for any", t.Data.Expect)
	c.want(t.Data.Split == "" || formats[t.Data.Format].split, "data.split", "is %q; the format %s has no splits", t.Data.Split, t.Data.Format)
	c.want(t.Data.Split != "" || !formats[t.Data.Format].split, "data.split", "is empty; the format %s has several", t.Data.Format)
}

// fields are what stands in braces.
var fields = regexp.MustCompile(`\{[^{}]*\}`)

func (t *Task) checkAnswers(c checker) {
	ways := 0
	for _, has := range []bool{c.Has("generate"), t.Rank.By != "", t.Retrieve.Rerank != nil} {
		if has {
			ways++
		}
	}
	c.want(ways == 1, "", "want one of the tables [generate], [rank] with by, and [retrieve] with rerank: it says how answers come about")
	if c.Has("rank") {
		c.oneOf("rank.by", t.Rank.By, []string{BySum, ByMean, ByGain})
		t.checkCandidates(c)
	}
	if c.Has("retrieve") {
		c.want(t.Retrieve.Rerank == nil || *t.Retrieve.Rerank >= 0, "retrieve.rerank", "want a number of candidates, or 0 to skip ITM")
		c.oneOf("retrieve.caption", t.Retrieve.Caption, []string{BLIPCaption, NoProcessor})
		c.want(!c.Has("prompt"), "prompt", "a task that retrieves has no prompt: no language model reads it")
	}
	c.oneOf("prompt.question", t.Prompt.Question, []string{BLIPQuestion, NoProcessor})
	for key, text := range map[string]*string{"default": t.Prompt.Default, "decoder-only": t.Prompt.DecoderOnly, "encoder-decoder": t.Prompt.EncoderDecoder} {
		if text == nil {
			continue
		}
		for _, field := range fields.FindAllString(*text, -1) {
			c.want(slices.Contains([]string{QuestionField, ContextField, ChoicesField}, field), "prompt."+key,
				"has %s, want the fields %s, %s or %s", field, QuestionField, ContextField, ChoicesField)
		}
	}
	t.checkDecode(c, "generate", t.Generate.Decode)
	t.checkDecode(c, "generate.decoder-only", t.Generate.DecoderOnly)
	t.checkDecode(c, "generate.encoder-decoder", t.Generate.EncoderDecoder)
	for _, kind := range []Architecture{adapters.DecoderOnly, adapters.EncoderDecoder} {
		d := t.Generate.For(kind)
		c.want(d.MinNewTokens == nil || d.MaxNewTokens == nil || *d.MinNewTokens <= *d.MaxNewTokens, "generate",
			"%s: min_new_tokens is %d, want at most max_new_tokens, %d", kind, value(d.MinNewTokens), value(d.MaxNewTokens))
	}
}

// checkCandidates compares the candidates with the format. Others would be scored against the wrong answer.
func (t *Task) checkCandidates(c checker) {
	const key = "rank.candidates"
	own := t.Rank.Candidates
	switch formats[t.Data.Format].candidates {
	case ofSample:
		c.want(len(own) == 0, key, "has %d texts, want none: each sample of the format %s has its own", len(own), t.Data.Format)
	case ofLabel:
		c.want(len(own) == 2 && own[0] != own[1], key, "is %q, want two texts, that of label 0 first, such as no and yes", own)
		c.want(len(own) == 0 || !slices.Contains([]string{"yes", "true"}, strings.ToLower(own[0])), key, "is %q, want the text of label 0 first, such as no and yes", own)
	default:
		c.want(len(own) > 0, key, "is empty, want the texts that are ranked: samples of the format %s have none", t.Data.Format)
	}
}

func (t *Task) checkDecode(c checker, at string, d Decode) {
	c.want(d.Beams == nil || *d.Beams > 0, at+".beams", "want at least 1")
	c.want(d.MaxNewTokens == nil || *d.MaxNewTokens > 0, at+".max_new_tokens", "want at least 1")
	c.want(d.MinNewTokens == nil || *d.MinNewTokens >= 0, at+".min_new_tokens", "want at least 0")
	c.want(d.RepetitionPenalty == nil || *d.RepetitionPenalty > 0, at+".repetition_penalty", "want a number above 0; 1 is none")
}

func (t *Task) checkMetric(c checker) {
	c.oneOf("metric.name", t.Metric.Name, score.Metrics())
	if variants := score.MetricVariants(t.Metric.Name); variants != nil {
		c.oneOf("metric.variant", t.Metric.Variant, variants)
	} else {
		c.want(t.Metric.Variant == "", "metric.variant", "is %q; the metric %s has no variants", t.Metric.Variant, t.Metric.Name)
	}
	if of, known := formats[t.Data.Format]; known && slices.Contains(score.Metrics(), t.Metric.Name) {
		c.want(slices.Contains(of.metrics, t.Metric.Name), "metric.name", "is %s, which does not score samples of the format %s, want %s", t.Metric.Name, t.Data.Format, strings.Join(of.metrics, " or "))
		for _, by := range t.Metric.By {
			c.want(len(of.types) > 0, "metric.by", "has %q; samples of the format %s have no kinds of groups", by, t.Data.Format)
			if len(of.types) > 0 {
				c.oneOf("metric.by", by, of.types)
			}
		}
	}
	how := map[string]How{score.Choice: Ranks, score.ROCAUC: Ranks, score.Retrieval: Retrieves, score.Winoground: Retrieves, score.Captions: Generates}
	if want, ok := how[t.Metric.Name]; ok {
		c.want(t.How() == want, "metric.name", "is %s, which scores answers of the table [%s]", t.Metric.Name, want)
	} else {
		c.want(t.How() != Retrieves, "metric.name", "is %s, which scores no retrieval", t.Metric.Name)
	}
}

func (t *Task) checkPaper(c checker) {
	for i, p := range t.Paper {
		at := fmt.Sprintf("paper %d", i+1)
		_, known := PublishedModel(p.Model)
		c.want(known, "paper", "%s: model is %q, want one of %s%s", at, p.Model, strings.Join(publishedIDs(), ", "), didyoumean.Hint(p.Model, publishedIDs()))
		by, _, _ := strings.Cut(p.Group, ": ")
		c.want(p.Group == "" || slices.Contains(t.Metric.By, by), "paper", "%s: group is %q, want one of a kind in metric.by: %s", at, p.Group, strings.Join(t.Metric.By, ", "))
		c.want(p.Source != "", "paper", "%s: source is empty, want the paper and its table", at)
	}
}
