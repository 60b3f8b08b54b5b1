package ptb

// wordRules are the rules of words, from the plain ones to those with hyphens and slashes.
var wordRules = []rule{plain, hyphenated, compound, slashed, ampersands}

// plain matches letters and digits that begin with a letter. Parts may be joined by a single
// period, exclamation or question mark if a letter follows it: "hanging.other".
func plain(s *scanner) match {
	if !isLetter(s.rune(s.at)) {
		return match{}
	}
	i := s.run(s.at, isAlnum)
	for {
		if r := s.rune(i); (r == '.' || r == '?' || r == '!') && isLetter(s.rune(i+1)) {
			i = s.run(i+1, isAlnum)
			continue
		}
		return match{end: i}
	}
}

// part returns the end of a part of a word with hyphens: letters and digits, which d', o' or l'
// may precede ("o'clock") and underscores may join.
func (s *scanner) part(i int) int {
	start := i
	switch s.rune(i) {
	case 'd', 'D', 'o', 'O', 'l', 'L':
		if isApostrophe(s.rune(i+1)) && isAlnum(s.rune(i+2)) && isAlnum(s.rune(i+3)) {
			start = i + 2
		}
	}
	end := s.run(start, isAlnum)
	if end == start {
		return i
	}
	return end
}

// hyphenated matches parts that single hyphens join, or underscores: "dog-like", "a_b".
func hyphenated(s *scanner) match {
	i := s.part(s.at)
	if i == s.at {
		return match{}
	}
	for r := s.rune(i); r == '-' || r == '_' || r == '\u2011'; r = s.rune(i) {
		end := s.part(i + 1)
		if end == i+1 {
			break
		}
		i = end
	}
	return match{end: i}
}

// compound matches words whose first part contains periods and commas before a hyphen, and
// words with an acronym behind one: "3.5-inch", "U.S.-based", "non-U.S.".
func compound(s *scanner) match {
	if !isAlnum(s.rune(s.at)) {
		return match{}
	}
	i := s.run(s.at, func(r rune) bool { return isAlnum(r) || r == '.' || r == ',' })
	last := 0
	for s.rune(i) == '-' {
		end := s.run(i+1, isAlnum)
		if acronym, letters := s.acronymAt(i + 1); letters > 1 {
			end = acronym
		}
		if end == i+1 {
			break
		}
		i, last = end, end
	}
	return match{end: last}
}

// slashed matches two or three words between slashes: "and/or".
func slashed(s *scanner) match {
	part := func(i int) int {
		end := s.run(i, isAlnumASCII)
		for n := 0; end > i && n < 2 && s.rune(end) == '-'; n++ {
			next := s.run(end+1, isASCIILetter)
			if next == end+1 {
				break
			}
			end = next
		}
		return end
	}
	i := part(s.at)
	if i == s.at {
		return match{}
	}
	last := 0
	for n := 0; n < 2 && s.rune(i) == '/'; n++ {
		end := part(i + 1)
		if end == i+1 {
			break
		}
		i, last = end, end
	}
	return match{end: last}
}

func isAlnumASCII(r rune) bool { return isASCIILetter(r) || isDigit(r) }

// ampersands matches capitals that signs join, "AT&T" and "A+B"; C++, C# and F#.
func ampersands(s *scanner) match {
	if s.follows(s.at, "c++") {
		return match{end: s.at + 3}
	}
	if s.follows(s.at, "c#") || s.follows(s.at, "f#") {
		return match{end: s.at + 2}
	}
	i := s.run(s.at, isCapital)
	if i == s.at {
		return match{}
	}
	last := 0
	for {
		next := i + 1
		switch {
		case s.rune(i) == '+':
		case s.rune(i) == '&' && s.follows(i, "&amp;"):
			next = i + len("&amp;")
		case s.rune(i) == '&':
		default:
			return match{end: last}
		}
		end := s.run(next, isCapital)
		if end == next {
			return match{end: last}
		}
		i, last = end, end
	}
}
