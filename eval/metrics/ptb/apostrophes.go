package ptb

import (
	"strings"
	"unicode"
)

// apostropheRules are the rules of contractions, and of words that keep an apostrophe.
var apostropheRules = []rule{assimilation, beforeNot, not, beforeClitic, clitic, whole, prefix, elided, betweenVowels}

// assimilations are words that are split, with the length of their first part.
var assimilations = map[string]int{"cannot": 3, "gonna": 3, "gotta": 3, "lemme": 3, "gimme": 3, "wanna": 3}

// assimilated returns the two parts of an assimilation at the scanner's place.
func (s *scanner) assimilated() []string {
	word := string(s.text[s.at:s.run(s.at, isASCIILetter)])
	n, ok := assimilations[strings.ToLower(word)]
	if !ok {
		return nil
	}
	return []string{word[:n], word[n:]}
}

func assimilation(s *scanner) match {
	if s.rune(s.at) == '\'' && (s.follows(s.at+1, "tis") || s.follows(s.at+1, "twas")) {
		return match{end: s.at + 2, look: s.at + 5} // 't is, 't was
	}
	if parts := s.assimilated(); parts != nil {
		end := s.at + len(parts[0]) + len(parts[1])
		return match{end: end, look: end + 1, tokens: parts}
	}
	return match{}
}

// notAt reports whether "n't" stands at i.
func (s *scanner) notAt(i int) bool {
	r, t := s.rune(i), s.rune(i+2)
	return (r == 'n' || r == 'N') && (isApostrophe(s.rune(i+1)) || s.rune(i+1) == '`') && (t == 't' || t == 'T')
}

// beforeNot matches the letters before "n't". The last one is no n.
func beforeNot(s *scanner) match {
	for i := s.at; isASCIILetter(s.rune(i)); i++ {
		if i > s.at && s.notAt(i) && unicode.ToLower(s.rune(i-1)) != 'n' {
			return match{end: i, look: i + 3}
		}
	}
	return match{}
}

// not matches "n't".
func not(s *scanner) match {
	if !s.notAt(s.at) {
		return match{}
	}
	token := strings.ReplaceAll(string(s.text[s.at:s.at+3]), "’", "'")
	return match{end: s.at + 3, tokens: []string{token}}
}

// clitics are the ends of words that are tokens of their own, behind their apostrophe.
var clitics = []string{"ll", "re", "ve", "s", "m", "d"}

// cliticAt returns the end of a clitic at i, or 0.
func (s *scanner) cliticAt(i int) int {
	if !isApostrophe(s.rune(i)) {
		return 0
	}
	for _, c := range clitics {
		if s.follows(i+1, c) {
			return i + 1 + len(c)
		}
	}
	return 0
}

// beforeClitic matches a word before a clitic.
func beforeClitic(s *scanner) match {
	end := plain(s).end
	clitic := s.cliticAt(end)
	if end == 0 || clitic == 0 {
		return match{}
	}
	return match{end: end, look: clitic}
}

// clitic matches 's, 'm, 'd, 'll, 're and 've before anything but a letter.
func clitic(s *scanner) match {
	end := s.cliticAt(s.at)
	if end == 0 || isASCIILetter(s.rune(end)) {
		return match{}
	}
	return match{end: end, look: end + 1, tokens: []string{"'" + string(s.text[s.at+1:end])}}
}

// wholeWords keep their apostrophe.
var wholeWords = []string{
	"ma'am", "nor'easter", "e'er", "li'l", "s'mores", "dunkin'", "'n'", "'n", "'em", "'till", "'til", "'cause", "ol'", "somethin'", "o'clock", "c'mon",
}

// whole matches the words that keep their apostrophe, and decades: '90s, '45.
func whole(s *scanner) match {
	for _, word := range wholeWords {
		if s.followsWord(word) {
			return match{end: s.at + len(word)}
		}
	}
	if isApostrophe(s.rune(s.at)) && isDigit(s.rune(s.at+1)) && isDigit(s.rune(s.at+2)) {
		switch r := s.rune(s.at + 3); {
		case s.rune(s.at+1) >= '2' && s.rune(s.at+2) == '0' && unicode.ToLower(r) == 's':
			return match{end: s.at + 4}
		case separates(r):
			return match{end: s.at + 3, look: s.at + 4}
		}
	}
	return match{}
}

// followsWord reports whether a word with an apostrophe of any kind stands here.
func (s *scanner) followsWord(word string) bool {
	for k, want := range word {
		r := s.rune(s.at + k)
		if want == '\'' {
			if !isApostrophe(r) {
				return false
			}
		} else if unicode.ToLower(r) != want {
			return false
		}
	}
	return true
}

// prefix matches d', j' and l', and y' before a letter: "y' all".
func prefix(s *scanner) match {
	if !isApostrophe(s.rune(s.at + 1)) {
		return match{}
	}
	switch unicode.ToLower(s.rune(s.at)) {
	case 'y':
		if isASCIILetter(s.rune(s.at + 2)) {
			return match{end: s.at + 2, look: s.at + 3}
		}
	case 'l', 'd', 'j':
		return match{end: s.at + 2}
	}
	return match{}
}

// elided matches a capital or n before an apostrophe and two letters or more: "O'Brien".
func elided(s *scanner) match {
	r := s.rune(s.at)
	if !isCapital(r) && r != 'n' || r == 'I' || r == 'Y' || !isApostrophe(s.rune(s.at+1)) {
		return match{}
	}
	end := s.run(s.at+2, isASCIILetter)
	if end-s.at < 4 {
		return match{}
	}
	return match{end: end}
}

// betweenVowels matches a word of two letters and more before an apostrophe between vowels, or behind a vowel and before a
// capital: "graffiti'ed", "Hallowe'en".
func betweenVowels(s *scanner) match {
	i := s.run(s.at, isLetter)
	if i-s.at < 2 || !isApostrophe(s.rune(i)) || !strings.ContainsRune("aeiouyAEIOUY", s.rune(i-1)) {
		return match{}
	}
	if r := s.rune(i + 1); !isCapital(r) && (r == 0 || !strings.ContainsRune("aeiou", r)) {
		return match{}
	}
	return match{end: s.run(i+1, isLetter)}
}
