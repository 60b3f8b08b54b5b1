package adapters

import "strings"

// CutAtStop returns the part of an answer before the first stop text in it, and reports whether
// there is one.
func CutAtStop(text string, stop []string) (before string, found bool) {
	first := len(text)
	for _, s := range stop {
		if at := strings.Index(text, s); at >= 0 && at <= first {
			first, found = at, true
		}
	}
	return text[:first], found
}

// HoldBack returns the part of an unfinished answer that can be streamed: without an end that
// may turn out to be the beginning of a stop text.
func HoldBack(text string, stop []string) string {
	most := 0
	for _, s := range stop {
		for n := min(len(s)-1, len(text)); n > most; n-- {
			if strings.HasSuffix(text, s[:n]) {
				most = n
			}
		}
	}
	return text[:len(text)-most]
}
