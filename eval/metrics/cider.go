package metrics

import "math"

// ciderSigma is the sigma of the penalty on another length, in words.
const ciderSigma = 6.0

// CIDErD scores captions against people's captions of the same pictures, from 0 to 10
// each: got[i] against references[i], one or more texts. It is the CIDEr-D of Vedantam and
// others (arXiv 1411.5726, section 5) as pycocoevalcap computes it
// (cider/cider_scorer.py, class CiderScorer). For n = 1 to 4 it takes the cosine of the
// counts of n-grams, where an n-gram weighs more the fewer pictures' references contain
// it, and counts at most as often as in the reference. It multiplies by a penalty on
// another length, and takes the mean over n and over the references, times 10.
//
// Texts are tokenised already: words are separated by white space, and "A" is another word
// than "a". Published scores are of the tokens that package ptb gives.
//
// Scores depend on all of references, which the weights are computed from. An n-gram that
// the references of every picture contain weighs nothing. So a single picture scores 0,
// and texts of fewer than 4 words stay below 10 even if they are equal. A caption without
// words scores 0. If there are no captions, mean is 0 and each is empty. CIDErD panics if
// the numbers of captions and of references differ or a caption has no reference; a
// reference without words is a reference.
func CIDErD(got []string, references [][]string) (mean float64, each []float64) {
	mustPair("CIDEr-D", got, references)
	c := NewCIDErD(references)
	each = make([]float64, len(got))
	for i, text := range got {
		each[i] = c.Score(i, text)
		mean += each[i]
	}
	return mean / float64(max(1, len(got))), each
}

// CIDErDScorer scores one caption at a time, as [CIDErD] does.
type CIDErDScorer struct {
	references [][]grams
	idf        func(gram string) float64
}

// NewCIDErD returns a scorer for captions of pictures with references, one or more each.
func NewCIDErD(references [][]string) *CIDErDScorer {
	c := &CIDErDScorer{references: make([][]grams, len(references))}
	for i, texts := range references {
		for _, text := range texts {
			c.references[i] = append(c.references[i], newGrams(text))
		}
	}
	c.idf = rarity(c.references)
	return c
}

// Score returns the score of a caption of picture i, from 0 to 10.
func (c *CIDErDScorer) Score(i int, text string) float64 {
	caption, sum := newGrams(text), 0.0
	for _, reference := range c.references[i] {
		sum += similarity(&caption, &reference, c.idf)
	}
	return 10 * sum / float64(len(c.references[i]))
}

// rarity returns a function that returns an n-gram's weight, its inverse document
// frequency: log(pictures / pictures with a reference that contains it, at least one).
func rarity(references [][]grams) func(gram string) float64 {
	pictures := map[string]int{}
	for _, texts := range references {
		seen := map[string]bool{}
		for _, s := range texts {
			for _, of := range s.order {
				for _, gram := range of {
					if !seen[gram] {
						seen[gram] = true
						pictures[gram]++
					}
				}
			}
		}
	}
	all := math.Log(float64(len(references)))
	return func(gram string) float64 { return all - math.Log(float64(max(1, pictures[gram]))) }
}

// similarity returns the score, up to 1, of a caption against one reference.
func similarity(got, want *grams, idf func(gram string) float64) float64 {
	sum := 0.0
	for n := range maxGram {
		dot := 0.0
		for _, gram := range got.order[n] {
			g, w, weight := got.counts[n][gram], want.counts[n][gram], idf(gram)
			dot += float64(min(g, w)) * weight * float64(w) * weight
		}
		if dot != 0 { // then neither norm is 0
			sum += dot / (got.norm(n, idf) * want.norm(n, idf))
		}
	}
	longer := float64(got.length - want.length)
	return sum / maxGram * math.Exp(-longer*longer/(2*ciderSigma*ciderSigma))
}

// norm returns the length of the vector of weighted n-grams of n+1 words.
func (g *grams) norm(n int, idf func(gram string) float64) float64 {
	squares := 0.0
	for _, gram := range g.order[n] {
		x := float64(g.counts[n][gram]) * idf(gram)
		squares += x * x
	}
	return math.Sqrt(squares)
}
