package ptb

import "strings"

// numberRules are the rules of numbers, dates, fractions and telephone numbers.
var numberRules = []rule{date, number, fraction, vulgar, telephone}

// digits returns the end of at most most digits from i on.
func (s *scanner) digits(i, most int) int {
	end := s.run(i, isDigit)
	return min(end, i+most)
}

// date matches 5/6/2013 and 10-10-2010.
func date(s *scanner) match {
	i := s.at
	for n, most := range []int{2, 2, 4} {
		if n > 0 {
			if r := s.rune(i); r != '/' && r != '-' {
				return match{}
			}
			i++
		}
		end := s.digits(i, most)
		if end == i || n == 2 && end-i < 2 {
			return match{}
		}
		i = end
	}
	return match{end: i}
}

// number matches digits with a sign before them, and single periods, commas and colons among
// them: 1,000.5, .5, 3:30.
func number(s *scanner) match {
	i := s.at
	if r := s.rune(i); r == '-' || r == '+' {
		i++
	}
	start := i
	i = s.run(i, isDigit)
	for {
		r := s.rune(i)
		if (r == '.' || r == ',' || r == ':') && isDigit(s.rune(i+1)) {
			i = s.run(i+1, isDigit)
			continue
		}
		if i == start {
			return match{}
		}
		return match{end: i}
	}
}

// fraction matches 1/2 and 25 1/2, whose space becomes one that does not separate tokens.
func fraction(s *scanner) match {
	i := s.digits(s.at, 4)
	if i == s.at {
		return match{}
	}
	if r := s.rune(i); (r == ' ' || r == '-' || r == '\u00a0') && isDigit(s.rune(i+1)) {
		if end := s.ratio(i + 1); end > 0 {
			token := strings.ReplaceAll(string(s.text[s.at:end]), " ", "\u00a0")
			return match{end: end, tokens: []string{token}}
		}
	}
	return match{end: s.ratio(s.at)}
}

// ratio returns the end of two short numbers with a slash between them, or 0.
func (s *scanner) ratio(i int) int {
	slash := s.digits(i, 4)
	if slash == i || s.rune(slash) != '/' && s.rune(slash) != '⁄' {
		return 0
	}
	end := s.digits(slash+1, 4)
	if end == slash+1 {
		return 0
	}
	return end
}

var vulgarFractions = map[rune]string{'½': "1/2", '⅓': "1/3", '⅔': "2/3", '¼': "1/4", '¾': "3/4"}

// vulgar matches fractions that are one character.
func vulgar(s *scanner) match {
	if text, ok := vulgarFractions[s.rune(s.at)]; ok {
		return match{end: s.at + 1, tokens: []string{text}}
	}
	return match{}
}

// telephone matches (555) 555-1212.
func telephone(s *scanner) match {
	i := s.at
	if s.rune(i) != '(' {
		return match{}
	}
	area := s.run(i+1, isDigit)
	if n := area - i - 1; n < 2 || n > 3 || s.rune(area) != ')' {
		return match{}
	}
	i = area + 1
	if r := s.rune(i); r == ' ' || r == '-' || r == '\u00a0' {
		i++
	}
	prefix := s.run(i, isDigit)
	if n := prefix - i; n < 3 || n > 4 {
		return match{}
	}
	if r := s.rune(prefix); r != '-' && r != '/' && r != '.' && r != ' ' {
		return match{}
	}
	end := s.run(prefix+1, isDigit)
	if n := end - prefix - 1; n < 3 || n > 5 {
		return match{}
	}
	token := strings.ReplaceAll(string(s.text[s.at:end]), " ", "\u00a0")
	return match{end: end, tokens: []string{bracketed(token)}}
}
