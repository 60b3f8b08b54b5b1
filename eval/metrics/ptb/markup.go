package ptb

import (
	"strings"
	"unicode"
)

// markupRules are the rules of HTML's tags and entities.
var markupRules = []rule{tag, entity}

// tag matches an HTML tag. Its spaces become such that do not separate tokens.
func tag(s *scanner) match {
	end := s.tag(s.at)
	if end == 0 {
		return match{}
	}
	return match{end: end, tokens: []string{strings.ReplaceAll(string(s.text[s.at:end]), " ", "\u00a0")}}
}

// tag returns the end of the tag at i, or 0.
func (s *scanner) tag(i int) int {
	if s.rune(i) != '<' {
		return 0
	}
	name := i + 1
	switch r := s.rune(name); {
	case r == '/':
		name++
	case r == '!' || r == '?':
		return s.closing(name)
	}
	if !isASCIILetter(s.rune(name)) {
		return 0
	}
	return s.element(name)
}

// closing returns the end behind the next ">" of the line, or 0.
func (s *scanner) closing(i int) int {
	end := s.run(i, func(r rune) bool { return r != '>' && r != '<' && r != '\n' })
	if s.rune(end) != '>' {
		return 0
	}
	return end + 1
}

// element returns the end behind the name of a tag, its attributes and ">", or 0.
func (s *scanner) element(i int) int {
	name := func(r rune) bool { return isAlnumASCII(r) || r == '_' || r == ':' || r == '.' || r == '-' }
	for {
		i = s.run(i, name)
		if s.rune(i) == '=' {
			i = s.value(i + 1)
		}
		i = s.run(i, isSpace)
		switch r := s.rune(i); {
		case r == '>':
			return i + 1
		case r == '/' && s.rune(i+1) == '>':
			return i + 2
		case !isASCIILetter(r):
			return 0
		}
	}
}

// value returns the end of an attribute's value.
func (s *scanner) value(i int) int {
	quote := s.rune(i)
	if quote != '"' && quote != '\'' {
		return s.run(i, func(r rune) bool { return isPart(r, "<>") })
	}
	end := s.run(i+1, func(r rune) bool { return r != quote && r != '\n' })
	return min(end+1, len(s.text))
}

// entities are HTML's entities, with their text. White space has none.
var entities = map[string]string{
	"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": "''", "&apos;": "'", "&nbsp;": "", "&mdash;": "--", "&ndash;": "--",
}

// entity matches an entity.
func entity(s *scanner) match {
	if s.rune(s.at) != '&' {
		return match{}
	}
	for name, text := range entities {
		if s.follows(s.at, name) {
			tokens := []string{text}
			if text == "" {
				tokens = []string{}
			}
			return match{end: s.at + len(name), tokens: tokens}
		}
	}
	return match{}
}

// addressRules are the rules of addresses, names of files, and names behind @ and #.
var addressRules = []rule{email, url, domain, fileName, handle}

func isPart(r rune, without string) bool {
	return r > ' ' && r != '\u00a0' && !unicode.IsSpace(r) && !strings.ContainsRune(without, r)
}

// email matches NAME@HOST and <NAME@HOST>.
func email(s *scanner) match {
	start := s.at
	if s.rune(start) == '<' {
		start++
	}
	if !isAlnumASCII(s.rune(start)) {
		return match{}
	}
	at := s.run(start, func(r rune) bool { return isPart(r, "\"<>|(){}@") })
	if s.rune(at) != '@' {
		return match{}
	}
	end := s.run(at+1, func(r rune) bool { return isPart(r, "\"<>|(){}") })
	for s.text[end-1] == '.' {
		end--
	}
	if end == at+1 {
		return match{}
	}
	if s.rune(end) == '>' {
		end++
	}
	return match{end: end}
}

// url matches an address with its scheme.
func url(s *scanner) match {
	i := s.at
	switch {
	case s.follows(i, "https://"):
		i += len("https://")
	case s.follows(i, "http://"):
		i += len("http://")
	default:
		return match{}
	}
	return match{end: s.rest(i, 2)}
}

// rest returns the end of the characters of an address from i on, at least least, without
// punctuation at the end; 0 if there are none.
func (s *scanner) rest(i, least int) int {
	end := s.run(i, func(r rune) bool { return isPart(r, "\"<>|()") })
	for end > i && strings.ContainsRune(".!?(){},-", s.text[end-1]) {
		end--
	}
	if end-i < least {
		return 0
	}
	return end
}

// domain matches www.NAME.DOMAIN and NAME.com, maybe with a path. Names behind no www. have no
// digits and no capitals.
func domain(s *scanner) match {
	i, parts, www := s.at, 0, s.follows(s.at, "www.")
	for {
		end := s.run(i, func(r rune) bool { return isPart(r, "\"`'<>|.!?(){},") && (www || r < ',' || r > '_') })
		if end == i || s.rune(end) != '.' {
			break
		}
		i, parts = end+1, parts+1
	}
	if parts == 0 {
		return match{}
	}
	end := s.run(i, isASCIILetter)
	top := strings.ToLower(string(s.text[i:end]))
	known := top == "com" || top == "net" || top == "org" || top == "edu"
	if !known && !(www && parts > 1 && len(top) >= 2 && len(top) <= 4) {
		return match{}
	}
	if s.rune(end) == '/' {
		if path := s.rest(end+1, 2); path > 0 {
			return match{end: path}
		}
	}
	return match{end: end}
}

var extensions = words("jpg jpeg gif png pdf txt doc docx html htm php mp3 exe")

// fileName matches a name with periods and a known ending.
func fileName(s *scanner) match {
	end := s.run(s.at, func(r rune) bool { return isAlnumASCII(r) || r == '.' })
	dot := end - 1
	for dot > s.at && s.text[dot] != '.' {
		dot--
	}
	if dot <= s.at || !extensions[strings.ToLower(string(s.text[dot+1:end]))] {
		return match{}
	}
	return match{end: end}
}

// handle matches @user and #topic.
func handle(s *scanner) match {
	switch r, next := s.rune(s.at), s.rune(s.at+1); {
	case r == '@' && (isASCIILetter(next) || next == '_'), r == '#' && isASCIILetter(next):
		return match{end: s.run(s.at+1, func(c rune) bool { return isASCIILetter(c) || r == '@' && (isDigit(c) || c == '_') })}
	}
	return match{}
}
