// Package didyoumean finds the valid name that is nearest to a misspelled one.
package didyoumean

import (
	"slices"
	"strings"
	"unicode"

	"github.com/xrash/smetrics"
)

// Name returns the candidate with the smallest edit distance to got, ignoring case. It returns ""
// if no candidate is near enough.
func Name(got string, candidates []string) string {
	if names := Names(got, candidates, 1); len(names) == 1 {
		return names[0]
	}
	return ""
}

// Names returns up to n candidates that are near to got, the nearest first. A candidate that begins
// with got is also near.
func Names(got string, candidates []string, n int) []string {
	type ranked struct {
		name     string
		distance int
	}
	var near []ranked
	for _, c := range candidates {
		d := smetrics.WagnerFischer(strings.ToLower(got), strings.ToLower(c), 1, 1, 1)
		if limit := max(2, len(got)/3); len(got) >= 3 && strings.HasPrefix(c, got) {
			d = min(d, limit)
		}
		near = append(near, ranked{c, d})
	}
	slices.SortStableFunc(near, func(a, b ranked) int { return a.distance - b.distance })
	var names []string
	for _, r := range near {
		if len(names) < n && r.distance <= max(2, len(got)/3) && r.distance < max(len(got), len(r.name)) {
			names = append(names, r.name)
		}
	}
	return names
}

// Hint returns "; did you mean X?", or "" if no candidate is near.
func Hint(got string, candidates []string) string {
	if n := Name(got, candidates); n != "" {
		return "; did you mean " + n + "?"
	}
	return ""
}

// Relative returns "; the nearest that is supported is X" for a candidate that begins with the same
// letters, like "gemma2" for "gemma3_text". If there is none, it returns [Hint].
func Relative(got string, candidates []string) string {
	var best string
	least := 0
	for _, c := range candidates {
		d := smetrics.WagnerFischer(got, c, 1, 1, 1)
		if s := stem(got); s != "" && s == stem(c) && (best == "" || d < least) {
			best, least = c, d
		}
	}
	if best == "" {
		return Hint(got, candidates)
	}
	return "; the nearest that is supported is " + best
}

// stem returns the letters at the beginning of a name.
func stem(name string) string {
	end := strings.IndexFunc(name, func(r rune) bool { return !unicode.IsLetter(r) })
	if end < 0 {
		end = len(name)
	}
	return strings.ToLower(name[:end])
}
