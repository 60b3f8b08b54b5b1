package metrics

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// AOKVQADirect returns the score of a direct answer of A-OKVQA, 0 to 1: a third for each of the
// annotators who gave it, but at most 1. Texts are compared as they are, and nobody is left
// out, unlike in VQA accuracy (allenai/aokvqa, eval_predictions.py). The official script
// leaves out the questions that are marked as difficult.
func AOKVQADirect(prediction string, answers []string) float64 {
	matches := 0
	for _, a := range answers {
		if a == prediction {
			matches++
		}
	}
	return min(1, float64(matches)/3)
}

// Unanswerable reports whether an answer of VizWiz says that the question cannot be answered:
// whether its normalised text is "unanswerable".
func Unanswerable(prediction string) bool {
	return NewVQA(VQAVizWiz).accented(prediction) == "unanswerable"
}

// POPEYes reports whether POPE's evaluate.py reads an answer as yes: unless the text before the
// first period has the word "No", "no" or "not", without its commas.
func POPEYes(answer string) bool {
	text, _, _ := strings.Cut(answer, ".")
	words := strings.Split(strings.ReplaceAll(text, ",", ""), " ")
	return !slices.ContainsFunc(words, func(w string) bool { return w == "No" || w == "not" || w == "no" })
}

// MMEAnswer reads an answer of MME as "yes", "no" or "other", which is always wrong. Answers are
// put in lower case, and lose white space at both ends and periods. "y" and "n" count; of
// longer ones the first 4 characters must contain yes or no.
func MMEAnswer(answer string) string {
	text := strings.ReplaceAll(strings.TrimFunc(lower(answer), isSpace), ".", "")
	switch {
	case text == "yes" || text == "no":
		return text
	case text == "y":
		return "yes"
	case text == "n":
		return "no"
	case utf8.RuneCountInString(text) == 1:
		return "other"
	}
	head := text
	if r := []rune(text); len(r) > 4 {
		head = string(r[:4])
	}
	switch {
	case strings.Contains(head, "yes"):
		return "yes"
	case strings.Contains(head, "no"):
		return "no"
	}
	return "other"
}

// The categories of MME. The score of a group is the sum of those of its categories: 2,000 and
// 800 at most.
var (
	mmePerception = []string{"existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR"}
	mmeCognition  = []string{"commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning"}
)

// MMEPerception returns the names of MME's ten categories of perception.
func MMEPerception() []string { return slices.Clone(mmePerception) }

// MMECognition returns the names of MME's four categories of cognition.
func MMECognition() []string { return slices.Clone(mmeCognition) }

// MMEItem is one answer: right or wrong, about a picture.
type MMEItem struct {
	Picture string
	Right   bool
}

// MMEScore returns the score of a category, 0 to 200: the percentage of right answers, plus the
// percentage of pictures whose answers are all right (two, in the official data). It is 0 if there are
// no answers.
func MMEScore(items []MMEItem) float64 {
	if len(items) == 0 {
		return 0
	}
	right, wrong := 0, map[string]bool{}
	for _, item := range items {
		right += count(item.Right)
		wrong[item.Picture] = wrong[item.Picture] || !item.Right
	}
	both := 0
	for _, w := range wrong {
		both += count(!w)
	}
	return 100*float64(right)/float64(len(items)) + 100*float64(both)/float64(len(wrong))
}

var scienceQAAnswer = regexp.MustCompile(`The answer is ([A-Z]).`)

// ScienceQAChoice returns the number of the choice that an answer of ScienceQA names, from 0, or
// -1 if it names none of the choices. As in LLaVA's evaluator an answer is a letter, begins
// with a letter and ". ", or contains "The answer is X" once, with
// any character after it.
func ScienceQAChoice(answer string, choices int) int {
	letter := ""
	isOption := answer != "" && strings.Contains("ABCDE", answer[:1])
	switch found := scienceQAAnswer.FindAllStringSubmatch(answer, -1); {
	case isOption && len(answer) == 1:
		letter = answer
	case isOption && len(answer) >= 3 && answer[1:3] == ". ":
		letter = answer[:1]
	case len(found) == 1:
		letter = found[0][1]
	}
	if letter == "" {
		return -1
	}
	n := int(letter[0]) - 'A'
	if n < 0 || n >= min(choices, len("ABCDE")) {
		return -1
	}
	return n
}

// GQADistribution compares the answers of a model with the true ones by group of questions: the
// mean chi-square statistic of the groups, weighted by their sizes. Lower is better. An answer
// that is never true in its group does not count (the official eval.py of GQA). groups[i]
// names the group of question i; questions without a group, "", are left out. It is 0 if no
// question has one.
func GQADistribution(predictions, answers, groups []string) float64 {
	truth, got := map[string]map[string]float64{}, map[string]map[string]float64{}
	var names []string
	for i, group := range groups {
		if group == "" {
			continue
		}
		if truth[group] == nil {
			truth[group], got[group] = map[string]float64{}, map[string]float64{}
			names = append(names, group)
		}
		truth[group][answers[i]]++
		got[group][predictions[i]]++
	}
	sum, all := 0.0, 0.0
	for _, group := range names { // in order, so that sums repeat bit for bit
		chi, size := 0.0, 0.0
		for _, answer := range sortedKeys(truth[group]) {
			expected := truth[group][answer]
			off := got[group][answer] - expected
			chi += off * off / expected
			size += expected
		}
		sum, all = sum+chi*size, all+size
	}
	if all == 0 {
		return 0
	}
	return sum / all
}

// sortedKeys returns the keys of a map in their order.
func sortedKeys(m map[string]float64) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
