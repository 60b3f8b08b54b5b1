package metrics

import "strings"

// maxGram is the length of the longest n-grams of BLEU and CIDEr-D, in words.
const maxGram = 4

// grams holds the n-grams of a text and how often each occurs; [n-1] holds those of n words.
type grams struct {
	order  [maxGram][]string // each once, in the order of the text, so that sums repeat bit for bit
	counts [maxGram]map[string]int
	length int // in words
}

// newGrams counts the n-grams of a text whose words are separated by white space.
func newGrams(text string) grams {
	words := strings.FieldsFunc(text, isSpace)
	g := grams{length: len(words)}
	for n := range g.counts {
		g.counts[n] = make(map[string]int, max(0, len(words)-n))
		for i := range len(words) - n {
			gram := strings.Join(words[i:i+n+1], " ")
			if g.counts[n][gram] == 0 {
				g.order[n] = append(g.order[n], gram)
			}
			g.counts[n][gram]++
		}
	}
	return g
}
