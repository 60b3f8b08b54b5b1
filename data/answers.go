package data

import (
	"math/rand/v2"
	"slices"
)

// NewQA returns a question with the answers of one or more people; kind may be empty. The
// answers must not be empty.
func NewQA(question string, answers []string, kind string) QA {
	q := QA{Question: question, Answer: mostFrequent(answers), Kind: kind}
	if len(answers) > 1 {
		q.Answers = make([]string, len(answers))
		for i, a := range answers {
			q.Answers[i] = answers[slices.Index(answers, a)] // equal ones share their memory
		}
	}
	return q
}

// mostFrequent returns the text that occurs most often, the first of several.
func mostFrequent(texts []string) string {
	counts := map[string]int{}
	best := texts[0]
	for _, t := range texts {
		counts[t]++
	}
	for _, t := range texts {
		if counts[t] > counts[best] {
			best = t
		}
	}
	return best
}

// DrawAnswer returns the question with one answer of its list, each as probable as its share
// of the list (or of the weights), so the expected loss is LAVIS's sum of losses weighted by shares. It takes
// nothing from rng if there is one answer, or if all are equal.
func (q QA) DrawAnswer(rng *rand.Rand) QA {
	if q.Weights != nil {
		q.Answer = q.Answers[drawWeighted(rng, len(q.Answers), func(i int) float64 { return q.Weights[i] })]
		return q
	}
	if slices.ContainsFunc(q.Answers, func(a string) bool { return a != q.Answer }) {
		q.Answer = q.Answers[rng.IntN(len(q.Answers))]
	}
	return q
}
