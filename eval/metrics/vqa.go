package metrics

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// VQAVariant names the variant of VQA accuracy that [VQAAccuracy] computes, for reports:
// the variants in use give different figures for the same answers.
const VQAVariant = "official"

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
	if len(answers) == 0 {
		return 0
	}
	prediction, truth := strip(prediction), make([]string, len(answers))
	for i, a := range answers {
		truth[i] = strip(a)
	}
	if slices.ContainsFunc(truth, func(a string) bool { return a != truth[0] }) {
		prediction = normalize(prediction)
		for i, a := range truth {
			truth[i] = normalize(a)
		}
	}
	matches := 0
	for _, a := range truth {
		if a == prediction {
			matches++
		}
	}
	sum := 0.0
	for _, a := range truth {
		others := matches
		if a == prediction {
			others--
		}
		sum += min(1, float64(others)/3)
	}
	return sum / float64(len(truth))
}

// NormalizeVQA returns an answer as the official VQA accuracy compares it if annotators do
// not agree: lower case; punctuation removed, or replaced by a space if no space is next to
// it; the numbers none, zero and one to ten as digits; no articles; contractions with their
// apostrophe. The result can be empty: "the" becomes "".
func NormalizeVQA(answer string) string { return normalize(strip(answer)) }

// strip replaces tabs and line feeds by spaces, and removes white space at both ends.
func strip(s string) string {
	return strings.TrimFunc(strings.NewReplacer("\n", " ", "\t", " ").Replace(s), isSpace)
}

func normalize(s string) string { return digitsAndArticles(punctuation(s)) }

// vqaPunctuation is the punctuation that is removed or becomes a space. Periods have a rule of
// their own. Apostrophes, colons and signs such as $ and % stay.
const vqaPunctuation = ";/[]\"{}()=+\\_-><@`,?!"

// punctuation removes a sign everywhere if a space is on one side of it anywhere in the
// text, or if the text has a comma between digits; otherwise the sign becomes a space.
func punctuation(s string) string {
	grouped := hasGroupedDigits(s)
	out := s
	for _, p := range vqaPunctuation {
		sign, by := string(p), " "
		if grouped || strings.Contains(s, sign+" ") || strings.Contains(s, " "+sign) {
			by = ""
		}
		out = strings.ReplaceAll(out, sign, by)
	}
	return periods(out)
}

// hasGroupedDigits reports whether a comma stands between two digits, as in 1,000.
func hasGroupedDigits(s string) bool {
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
func digitsAndArticles(s string) string {
	words := strings.FieldsFunc(cases.Lower(language.Und).String(s), isSpace)
	kept := words[:0]
	for _, word := range words {
		if digits, ok := vqaNumbers[word]; ok {
			word = digits
		}
		if word == "a" || word == "an" || word == "the" {
			continue
		}
		if full, ok := contractions[word]; ok {
			word = full
		}
		kept = append(kept, word)
	}
	return strings.Join(kept, " ")
}

// isSpace reports whether Python's str.strip and str.split take r for white space. Those are
// Unicode's white space and four separators of ASCII.
func isSpace(r rune) bool { return unicode.IsSpace(r) || '\x1c' <= r && r <= '\x1f' }
