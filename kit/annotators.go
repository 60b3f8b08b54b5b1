package kit

import (
	"math/rand/v2"
	"strings"

	"github.com/modular-bridging/bridge/kit/scene"
)

// streamAnswers is the first PCG stream of the answers of annotators.
const streamAnswers = 0x616e7377

// annotators is how many people answer a question of VQA.
const annotators = 10

// humanAnswer is an annotator's answer in VQA's layout.
type humanAnswer struct {
	Answer     string `json:"answer"`
	Confidence string `json:"answer_confidence"`
	ID         int    `json:"answer_id"` // from 1
}

// questionTypes and answerTypes are VQA's types of the kit's questions: the words that a question
// begins with, and one of "yes/no", "number" and "other".
var (
	questionTypes = map[scene.QuestionKind]string{
		scene.AskRelation: "what is", scene.AskCount: "how many", scene.AskColor: "what color is the",
		scene.AskYesNo: "is there", scene.AskWhat: "what is in the",
	}
	answerTypes = map[scene.QuestionKind]string{
		scene.AskRelation: "other", scene.AskCount: "number", scene.AskColor: "other",
		scene.AskYesNo: "yes/no", scene.AskWhat: "other",
	}
)

// disagreement is how many of 100 annotators give another answer than the true one.
var disagreement = map[scene.QuestionKind]int{
	scene.AskRelation: 15, scene.AskCount: 10, scene.AskColor: 10, scene.AskYesNo: 5, scene.AskWhat: 40,
}

// annotate returns the answers of ten annotators. Each gives the true answer, or, as often as
// [disagreement] says, one that people could mistake for it. Answers are stored as VQAv2 stores
// them: without articles, and with digits for numbers.
func annotate(rng *rand.Rand, s scene.Scene, q scene.QA) []humanAnswer {
	truth := stored(q.Answer)
	others := mistakes(s, q)
	answers := make([]humanAnswer, annotators)
	for i := range answers {
		answers[i] = humanAnswer{truth, "yes", i + 1}
		if rng.IntN(100) < disagreement[q.Kind] {
			answers[i].Answer, answers[i].Confidence = others[rng.IntN(len(others))], "maybe"
		}
	}
	return answers
}

// stored returns an answer of the grammar as VQAv2 stores answers.
func stored(answer string) string {
	digits := map[string]string{"one": "1", "two": "2", "three": "3", "four": "4"}
	var words []string
	for _, word := range strings.Fields(answer) {
		if digit, ok := digits[word]; ok {
			word = digit
		}
		if word != "a" && word != "an" {
			words = append(words, word)
		}
	}
	return strings.Join(words, " ")
}

// likeColors are names that people also give to the colours of backgrounds.
var likeColors = [scene.ColorCount][]string{
	scene.Red: {"orange", "pink"}, scene.Yellow: {"orange", "gold"}, scene.Green: {"light green", "teal"},
	scene.Blue: {"light blue", "purple"}, scene.White: {"gray", "light gray"}, scene.Gray: {"silver", "black"},
}

// mistakes returns answers that are near the true one, as VQAv2 stores them.
func mistakes(s scene.Scene, q scene.QA) []string {
	switch truth := stored(q.Answer); q.Kind {
	case scene.AskRelation: // the other side, or no object
		if truth == s.A.String() {
			return []string{s.B.String(), "nothing"}
		}
		return []string{s.A.String(), "nothing"}
	case scene.AskCount: // one more or less
		n := int(truth[0] - '0')
		return []string{string(rune('0' + n - 1)), string(rune('0' + n + 1))}
	case scene.AskColor:
		return likeColors[s.Color]
	case scene.AskYesNo:
		if truth == "yes" {
			return []string{"no"}
		}
		return []string{"yes"}
	}
	switch s.Kind { // what is in the picture
	case scene.Pair: // the other order, or one object only
		return []string{s.B.String() + " and " + s.A.String(), s.A.String(), s.B.String()}
	case scene.Count:
		return []string{s.A.Plural(), s.A.String()}
	}
	return []string{s.A.String()}
}

// mostFrequent returns the answer that most annotators gave; among equals the first.
func mostFrequent(answers []humanAnswer) string {
	count := map[string]int{}
	best := ""
	for _, a := range answers {
		count[a.Answer]++
	}
	for _, a := range answers {
		if best == "" || count[a.Answer] > count[best] {
			best = a.Answer
		}
	}
	return best
}
