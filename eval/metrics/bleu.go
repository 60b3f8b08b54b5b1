package metrics

import (
	"fmt"
	"math"
)

// BLEUCounts are the counts that BLEU is computed from: of one caption, or added up of many.
type BLEUCounts struct {
	Correct   [maxGram]int // n-grams that a reference contains; [n-1] of n words
	Guesses   [maxGram]int // all n-grams
	Length    int          // words
	Reference int          // words of the reference whose length is nearest; of equals the shorter
}

// CountBLEU returns the counts of one tokenised caption against its references. An n-gram
// counts at most as often as in the reference that contains it most often. CountBLEU panics
// if there is no reference.
func CountBLEU(got string, references []string) BLEUCounts {
	if len(references) == 0 {
		panic("metrics: BLEU: a caption has no reference, want at least 1")
	}
	caption := newGrams(got)
	c := BLEUCounts{Length: caption.length, Reference: -1}
	most := map[string]int{} // n-grams of different n are different texts
	for _, text := range references {
		reference := newGrams(text)
		for n := range reference.order {
			for _, gram := range reference.order[n] {
				most[gram] = max(most[gram], reference.counts[n][gram])
			}
		}
		if c.Reference < 0 || nearer(reference.length, c.Reference, caption.length) {
			c.Reference = reference.length
		}
	}
	for n := range maxGram {
		c.Guesses[n] = max(0, caption.length-n)
		for _, gram := range caption.order[n] {
			c.Correct[n] += min(caption.counts[n][gram], most[gram])
		}
	}
	return c
}

// nearer reports whether length a is nearer to want than b is, or as near and shorter.
func nearer(a, b, want int) bool {
	da, db := max(a-want, want-a), max(b-want, want-b)
	return da < db || da == db && a < b
}

// Add adds the counts of o.
func (c *BLEUCounts) Add(o *BLEUCounts) {
	for n := range maxGram {
		c.Correct[n] += o.Correct[n]
		c.Guesses[n] += o.Guesses[n]
	}
	c.Length += o.Length
	c.Reference += o.Reference
}

// Scores returns BLEU-1 to BLEU-4, from 0 to 1: the geometric means of the precisions of up to
// 1, 2, 3 and 4 words, times the penalty on captions that are shorter than the references.
// Two small constants of pycocoevalcap keep them above 0.
func (c BLEUCounts) Scores() (scores [maxGram]float64) {
	const tiny, small = 1e-15, 1e-9
	product := 1.0
	for n := range maxGram {
		product *= (float64(c.Correct[n]) + tiny) / (float64(c.Guesses[n]) + small)
		scores[n] = math.Pow(product, 1/float64(n+1))
	}
	if ratio := (float64(c.Length) + tiny) / (float64(c.Reference) + small); ratio < 1 {
		for n := range scores {
			scores[n] *= math.Exp(1 - 1/ratio)
		}
	}
	return scores
}

// BLEU returns BLEU-1 to BLEU-4 of captions, got[i] against references[i], as pycocoevalcap 1.2
// computes them (Papineni and others 2002): of the corpus, from the sums of counts, and of each
// caption, from its own. Texts are tokenised as for [CIDErD]. BLEU panics if the numbers of
// captions and of references differ or a caption has no reference.
func BLEU(got []string, references [][]string) (corpus [maxGram]float64, each [][maxGram]float64) {
	mustPair("BLEU", got, references)
	var sum BLEUCounts
	for i, text := range got {
		c := CountBLEU(text, references[i])
		sum.Add(&c)
		each = append(each, c.Scores())
	}
	return sum.Scores(), each
}

// mustPair panics if the numbers of captions and of references differ, or if a caption has none.
func mustPair(metric string, got []string, references [][]string) {
	if len(got) != len(references) {
		panic(fmt.Sprintf("metrics: %s: %d captions and references of %d, want equal numbers", metric, len(got), len(references)))
	}
	for i, texts := range references {
		if len(texts) == 0 {
			panic(fmt.Sprintf("metrics: %s: caption %d of %d has no reference, want at least 1", metric, i, len(got)))
		}
	}
}
