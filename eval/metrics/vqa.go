package metrics

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// VQAVariant names a rule of VQA accuracy. The rules in use give different figures for the
// same answers, so a report must name the one that it used.
type VQAVariant string

// The variants. All leave each annotator out once; see [VQAAccuracy]. They differ in the texts
// that they compare:
//
//   - VQAOfficial: vqaEval.py of GT-Vision-Lab/VQA, which EvalAI's servers run. If the
//     annotators do not all agree, both sides are normalised ([NormalizeVQA]); otherwise the
//     texts are compared as they are, without white space at both ends.
//   - VQALAVIS: LAVIS's copy of the older official file, which the published figures of BLIP-2
//     and InstructBLIP come from. The prediction is always normalised. The annotators' answers
//     lose their punctuation if they do not all agree, and keep capitals, articles, numbers
//     and white space.
//   - VQAAlways: both sides are always normalised (lmms-eval for VQAv2 and OK-VQA, OpenFlamingo).
//   - VQAEvalAI: both sides are always normalised, after commas and question marks are deleted
//     and "'s" is set apart (EvalAIAnswerProcessor of MMF; LLaVA and lmms-eval for TextVQA).
//   - VQAVizWiz: VizWiz's own scorer. The prediction is normalised, with grave accents for
//     most apostrophes of completed contractions; the answers are compared as they are.
const (
	VQAOfficial VQAVariant = "official"
	VQALAVIS    VQAVariant = "lavis"
	VQAAlways   VQAVariant = "always"
	VQAEvalAI   VQAVariant = "evalai"
	VQAVizWiz   VQAVariant = "vizwiz"
)

// VQAVariants returns all variants, the official one first.
func VQAVariants() []VQAVariant {
	return []VQAVariant{VQAOfficial, VQALAVIS, VQAAlways, VQAEvalAI, VQAVizWiz}
}

// VQAFullScore is the fewest annotators who must give an answer so that [VQAAccuracy] of
// it is 1.
const VQAFullScore = 4

// VQAAccuracy returns the VQA accuracy of a prediction, 0 to 1, against the answers of a
// question's annotators, usually ten. It is the official variant: vqaEval.py of
// GT-Vision-Lab/VQA, whose values it gives bit for bit under Python 3.
//
// Each annotator is left out once. The prediction then scores a third for each of the
// other annotators who gave it, but at most 1. The result is the mean. With ten
// annotators, an answer that 1, 2 or 3 of them gave scores 0.3, 0.6 or 0.9, and one that
// 4 or more gave scores 1. With fewer than 4 annotators, no answer scores 1.
//
// If the annotators do not all agree, the texts are compared as [NormalizeVQA] returns
// them. If they agree, the texts are compared as they are, without white space at both
// ends: "Yes" is not "yes". VQAAccuracy returns 0 if there are no answers.
func VQAAccuracy(prediction string, answers []string) float64 {
	return NewVQA(VQAOfficial).Accuracy(prediction, answers)
}

// VQA computes one variant of VQA accuracy for many questions. It keeps the texts that it has
// normalised, because most answers occur often. It is not safe for concurrent use.
type VQA struct {
	rule      vqaRule
	whole     map[string]string // texts, normalised by both steps
	unpointed map[string]string // texts without punctuation
	truth     []string          // memory of Accuracy
}

// vqaRule says how a variant prepares texts. agreed is for annotators who all gave one answer.
type vqaRule struct{ prediction, agreedPrediction, answers, agreedAnswers vqaStep }

// vqaStep prepares a text for comparison.
type vqaStep func(s *VQA, text string) string

func vqaRules() map[VQAVariant]vqaRule {
	asIs := func(_ *VQA, text string) string { return text }
	stripped := func(_ *VQA, text string) string { return strip(text) }
	return map[VQAVariant]vqaRule{
		VQAOfficial: {(*VQA).normalized, stripped, (*VQA).normalized, stripped},
		VQALAVIS:    {(*VQA).normalized, (*VQA).normalized, (*VQA).withoutPunctuation, asIs},
		VQAAlways:   {(*VQA).normalized, (*VQA).normalized, (*VQA).normalized, (*VQA).normalized},
		VQAEvalAI:   {(*VQA).processed, (*VQA).processed, (*VQA).processed, (*VQA).processed},
		VQAVizWiz:   {(*VQA).accented, (*VQA).accented, asIs, asIs},
	}
}

// NewVQA returns a scorer for a variant. It panics if there is no such variant.
func NewVQA(variant VQAVariant) *VQA {
	rule, ok := vqaRules()[variant]
	if !ok {
		panic(fmt.Sprintf("metrics: no variant %q of VQA accuracy, want one of %v", variant, VQAVariants()))
	}
	return &VQA{rule: rule, whole: map[string]string{}, unpointed: map[string]string{}}
}

// Accuracy returns the VQA accuracy of a prediction, 0 to 1, as [VQAAccuracy] does, by the
// scorer's variant. Annotators are told apart by their position in answers.
func (s *VQA) Accuracy(prediction string, answers []string) float64 {
	if len(answers) == 0 {
		return 0
	}
	onPrediction, onAnswers := s.steps(answers)
	prediction, s.truth = onPrediction(s, prediction), s.truth[:0]
	matches := 0
	for _, a := range answers {
		a = onAnswers(s, a)
		s.truth = append(s.truth, a)
		if a == prediction {
			matches++
		}
	}
	sum := 0.0
	for _, a := range s.truth {
		others := matches
		if a == prediction {
			others--
		}
		sum += min(1, float64(others)/3)
	}
	return sum / float64(len(answers))
}

// Compared returns a prediction as [VQA.Accuracy] compares it with answers.
func (s *VQA) Compared(prediction string, answers []string) string {
	step, _ := s.steps(answers)
	return step(s, prediction)
}

// steps returns how a prediction and its answers are prepared.
func (s *VQA) steps(answers []string) (onPrediction, onAnswers vqaStep) {
	if len(answers) > 0 && s.agreed(answers) {
		return s.rule.agreedPrediction, s.rule.agreedAnswers
	}
	return s.rule.prediction, s.rule.answers
}

// agreed reports whether all annotators gave one answer. The official code compares stripped
// answers, LAVIS's compares them as they are; for the other variants it makes no difference.
func (s *VQA) agreed(answers []string) bool {
	compared := s.rule.agreedAnswers
	first := compared(s, answers[0])
	return !slices.ContainsFunc(answers[1:], func(a string) bool { return a != answers[0] && compared(s, a) != first })
}

// normalized is [NormalizeVQA] with a memory.
func (s *VQA) normalized(text string) string { return remembered(s.whole, text, NormalizeVQA) }

// withoutPunctuation is punctuation with a memory.
func (s *VQA) withoutPunctuation(text string) string {
	return remembered(s.unpointed, text, punctuation)
}

// processed is [NormalizeVQA] behind the word tokenizer of EvalAIAnswerProcessor, with a memory.
func (s *VQA) processed(text string) string {
	return remembered(s.whole, text, func(text string) string { return NormalizeVQA(wordTokenize(text)) })
}

// accented is [NormalizeVQA] with the contractions of VizWiz's scorer, with a memory.
func (s *VQA) accented(text string) string {
	return remembered(s.whole, text, func(text string) string {
		return digitsAndArticles(punctuation(strip(text)), vizwizContraction)
	})
}

func remembered(known map[string]string, text string, f func(string) string) string {
	out, ok := known[text]
	if !ok {
		out = f(text)
		known[text] = out
	}
	return out
}

// wordTokenize is the word tokenizer of EvalAIAnswerProcessor: lower case, no commas and
// question marks, and a space before "'s".
func wordTokenize(s string) string {
	return strings.NewReplacer(",", "", "?", "").Replace(strings.ReplaceAll(lower(s), "'s", " 's"))
}

// NormalizeVQA returns an answer as the official VQA accuracy compares it if annotators do
// not agree: lower case; punctuation removed, or replaced by a space if no space is next to
// it; the numbers none, zero and one to ten as digits; no articles; contractions with their
// apostrophe. The result can be empty: "the" becomes "".
func NormalizeVQA(answer string) string { return normalize(strip(answer)) }

// strip replaces tabs and line feeds by spaces, and removes white space at both ends.
func strip(s string) string { return strings.TrimFunc(breaks.Replace(s), isSpace) }

var breaks = strings.NewReplacer("\n", " ", "\t", " ")

func normalize(s string) string { return digitsAndArticles(punctuation(s), officialContraction) }

// vqaPunctuation is the punctuation that is removed or becomes a space. Periods have a rule of
// their own. Apostrophes, colons and signs such as $ and % stay.
const vqaPunctuation = ";/[]\"{}()=+\\_-><@`,?!"

// punctuation removes a sign everywhere if a space is on one side of it anywhere in the
// text, or if the text has a comma between digits; otherwise the sign becomes a space.
func punctuation(s string) string {
	if !strings.ContainsAny(s, vqaPunctuation+".") {
		return s
	}
	grouped := hasGroupedDigits(s)
	var bySpace [utf8.RuneSelf]bool
	for i := range len(s) {
		if s[i] < utf8.RuneSelf && (i > 0 && s[i-1] == ' ' || i+1 < len(s) && s[i+1] == ' ') {
			bySpace[s[i]] = true
		}
	}
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		switch {
		case strings.IndexByte(vqaPunctuation, s[i]) < 0:
			out = append(out, s[i])
		case !grouped && !bySpace[s[i]]:
			out = append(out, ' ')
		}
	}
	return periods(string(out))
}

// hasGroupedDigits reports whether a comma stands between two digits, as in 1,000.
func hasGroupedDigits(s string) bool {
	if !strings.Contains(s, ",") {
		return false
	}
	r := []rune(s)
	for i := 1; i+1 < len(r); i++ {
		if r[i] == ',' && unicode.IsDigit(r[i-1]) && unicode.IsDigit(r[i+1]) {
			return true
		}
	}
	return false
}

// vqaPeriods is how many periods are removed at most: the official code passes
// re.UNICODE, 32, where re.sub expects a count.
const vqaPeriods = 32

// periods removes the first 32 periods that no digit follows.
func periods(s string) string {
	if !strings.Contains(s, ".") {
		return s
	}
	var out strings.Builder
	removed := 0
	r := []rune(s)
	for i, c := range r {
		if c == '.' && removed < vqaPeriods && (i+1 == len(r) || !unicode.IsDigit(r[i+1])) {
			removed++
			continue
		}
		out.WriteRune(c)
	}
	return out.String()
}

// vqaNumbers are the words that become digits.
var vqaNumbers = map[string]string{
	"none": "0", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5",
	"six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10",
}

// digitsAndArticles makes the text lower case, writes numbers as digits, drops articles and
// completes contractions. Words are then separated by single spaces.
func digitsAndArticles(s string, complete func(word string) string) string {
	words := strings.FieldsFunc(lower(s), isSpace)
	kept := words[:0]
	for _, word := range words {
		if digits, ok := vqaNumbers[word]; ok {
			word = digits
		}
		if word == "a" || word == "an" || word == "the" {
			continue
		}
		kept = append(kept, complete(word))
	}
	return strings.Join(kept, " ")
}

// lower returns a text in lower case as Python's str.lower does.
func lower(s string) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return cases.Lower(language.Und).String(s)
		}
	}
	return strings.ToLower(s)
}

// isSpace reports whether Python's str.strip and str.split take r for white space. Those are
// Unicode's white space and four separators of ASCII.
func isSpace(r rune) bool { return unicode.IsSpace(r) || '\x1c' <= r && r <= '\x1f' }
