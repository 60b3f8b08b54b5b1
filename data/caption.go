package data

import (
	"math/rand/v2"
	"strings"
)

// maxCaptionWords is the number of words after which LAVIS cuts a caption.
const maxCaptionWords = 50

// ProcessCaption prepares a caption as LAVIS does (processors/blip_processors.py):
// lower case, punctuation to spaces, single spaces, at most 50 words.
func ProcessCaption(s string) string {
	s = strings.Map(func(r rune) rune {
		if strings.ContainsRune(`.!"()*#:;~`, r) {
			return ' '
		}
		return r
	}, strings.ToLower(s))
	words := strings.Fields(s)
	return strings.Join(words[:min(len(words), maxCaptionWords)], " ")
}

// SplitPrefix splits a caption for prefix-LM training as LAVIS does: the length of the
// prefix is drawn uniformly between one word and half of the words. A caption of one
// word has an empty prefix.
func SplitPrefix(rng *rand.Rand, caption string) (prefix, rest string) {
	words := strings.Fields(caption)
	if len(words) < 2 {
		return "", caption
	}
	n := 1 + rng.IntN(max(1, len(words)/2))
	return strings.Join(words[:n], " "), strings.Join(words[n:], " ")
}
