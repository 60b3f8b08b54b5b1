package data

import (
	"math/rand/v2"
	"strings"
)

// maxCaptionWords is where LAVIS cuts captions.
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

// SplitPrefix cuts a caption for prefix-LM training as LAVIS's authors did: the
// prefix is between one word and half of the words long, drawn uniformly, and
// never the whole caption. A caption of one word has an empty prefix.
func SplitPrefix(rng *rand.Rand, caption string) (prefix, rest string) {
	words := strings.Fields(caption)
	if len(words) < 2 {
		return "", caption
	}
	n := 1 + rng.IntN(max(1, len(words)/2))
	return strings.Join(words[:n], " "), strings.Join(words[n:], " ")
}
