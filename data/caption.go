package data

import (
	"math/rand/v2"
	"strings"
)

// maxCaptionWords and maxQuestionWords are the numbers of words after which LAVIS cuts a
// caption and a question.
const (
	maxCaptionWords  = 50
	maxQuestionWords = 50
)

// blipPunctuation are the characters that LAVIS takes out of captions and questions.
const blipPunctuation = `.!"()*#:;~`

// ProcessCaption prepares a caption as LAVIS does (processors/blip_processors.py):
// lower case, punctuation to spaces, single spaces, at most 50 words.
func ProcessCaption(s string) string {
	s = strings.Map(func(r rune) rune {
		if strings.ContainsRune(blipPunctuation, r) {
			return ' '
		}
		return r
	}, strings.ToLower(s))
	words := strings.Fields(s)
	return strings.Join(words[:min(len(words), maxCaptionWords)], " ")
}

// ProcessQuestion prepares a question as LAVIS does (blip_question in the same file): lower
// case, the punctuation of [ProcessCaption] removed with nothing in its place, so that the
// question mark stays, no spaces at the end, at most 50 words. Words are what single spaces
// separate.
func ProcessQuestion(s string) string {
	s = strings.Map(func(r rune) rune {
		if strings.ContainsRune(blipPunctuation, r) {
			return -1
		}
		return r
	}, strings.ToLower(s))
	words := strings.Split(strings.TrimRight(s, " "), " ")
	return strings.Join(words[:min(len(words), maxQuestionWords)], " ")
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
