package ptb

import "strings"

// periodRules are the rules of abbreviations and acronyms.
var periodRules = []rule{acronym, abbreviation, beforePause}

// words returns the set of the words in a text.
func words(text string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(text) {
		set[w] = true
	}
	return set
}

// final are abbreviations with which a sentence can end: if white space and a capital follow,
// a token "." is added.
var final = words(`al ala apr ariz assn aug bancorp bhd bldg blvd bros calif co colo conn corp cos ct dak dec
	esq est etc ext feb fla fri ga inc ind intl jan jr jul jun kan kans ky ltd mar md mich minn mo mon mont neb nev
	nov oct okla penn plc rd rt sep sept sq sr sys tel tenn thu thurs tue tues univ va vt wed wis wisc wyo
	ed.d ph.d pte ptes pty ptys`)

// finalCapital are abbreviations of this kind that need a capital, because the word is common.
var finalCapital = words("Ark Az Del Ill La Mass Miss Ore Pa Tex Wash ARK AZ DEL ILL LA MASS MISS ORE PA TEX WASH")

// inner are abbreviations that more words of the sentence follow.
var inner = words(`adj adm adv asst atty ave brig capt cf cie cmdr col comdr cpl dept det dr drs elec ens ft gen
	gov govs hon insp lt maj messrs mfg mr mrs ms mt natl pfc ph pres prof pvt rep reps rev sen sens sgt st ste supt vs`)

// before are abbreviations before a number, or before a comma.
var before = words("art ca fig figs no nos op pp prop")

// finalUpperLess are abbreviations that are not read in capitals.
var finalUpperLess = words("PTE PTES PTY PTYS MFG")

// starters are words that begin a sentence after an acronym.
var starters = words(`A About According Additionally After An As At But He Her Here However If In It Last Many More
	Now Once One Other Our She Since So Some Such That The Their Then There These They This We What When While Yet You`)

// abbreviation matches an abbreviation with its period.
func abbreviation(s *scanner) match {
	end := s.run(s.at, func(r rune) bool { return isASCIILetter(r) })
	if s.rune(end) == '.' && (s.follows(end-2, "ph.d.") || s.follows(end-2, "ed.d.")) && end-s.at == 2 {
		end += 2
	}
	if end == s.at || s.rune(end) != '.' {
		return match{}
	}
	word := string(s.text[s.at:end])
	small := strings.ToLower(word)
	switch {
	case finalUpperLess[word]:
		return match{}
	case final[small] || finalCapital[word]:
		return s.finalAbbreviation(end + 1)
	case inner[small]:
		return match{end: end + 1}
	case before[small]:
		return s.beforeNumber(end + 1)
	}
	return match{}
}

// finalAbbreviation matches an abbreviation up to end, with which the sentence may end.
func (s *scanner) finalAbbreviation(end int) match {
	m := match{end: end, look: end + 2}
	first, second := s.rune(end), s.rune(end+1)
	if separates(first) && (separates(second) || isCapital(second) || s.tag(end+1) > 0) {
		m.tokens = []string{string(s.text[s.at:end]), "."}
	}
	return m
}

// separates reports whether r is white space, or ends a line.
func separates(r rune) bool { return r == '\n' || isSpace(r) }

// beforeNumber matches an abbreviation up to end before a number or a comma.
func (s *scanner) beforeNumber(end int) match {
	i := end
	if isSpace(s.rune(i)) {
		i++
	}
	switch r := s.rune(i); {
	case isDigit(r):
		return match{end: end, look: i + 1}
	case i == end && r == ',':
		return match{end: end, look: i + 1}
	}
	return match{}
}

// acronym matches single letters with periods: "U.S." and "X.". Before white space and a word
// that begins sentences the period counts twice; that of a single letter is only its own token.
func acronym(s *scanner) match {
	i, letters := s.acronymAt(s.at)
	if letters == 0 {
		return match{}
	}
	m := match{end: i, look: i + 1}
	if i == len(s.text) {
		m.look = i
	}
	switch ends := s.beginsSentence(i) || separates(s.rune(i)) && s.tag(i+1) > 0; {
	case ends && letters == 1:
		m.end, m.look = i-1, i+1
	case ends:
		m.tokens = []string{string(s.text[s.at:i]), "."}
	}
	return m
}

// acronymAt returns the end of single letters with periods at i, and how many there are.
func (s *scanner) acronymAt(i int) (end, letters int) {
	for isASCIILetter(s.rune(i)) && s.rune(i+1) == '.' {
		i, letters = i+2, letters+1
	}
	return i, letters
}

// beginsSentence reports whether white space and a starter are at i.
func (s *scanner) beginsSentence(i int) bool {
	start := s.run(i, separates)
	if start == i {
		return false
	}
	end := s.run(start, isASCIILetter)
	word := string(s.text[start:end])
	if len(word) > 1 && word == strings.ToUpper(word) {
		word = word[:1] + strings.ToLower(word[1:])
	}
	return starters[word] && (separates(s.rune(end)) || end == len(s.text))
}

// beforePause matches a word or a number with its period before a comma, a semicolon or a colon.
func beforePause(s *scanner) match {
	end := max(plain(s).end, s.run(s.at, isAlnum))
	if end == s.at || s.rune(end) != '.' || !strings.ContainsRune(",;:", s.rune(end+1)) {
		return match{}
	}
	return match{end: end + 1, look: end + 2}
}
