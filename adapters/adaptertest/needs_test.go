package adaptertest

import (
	"slices"
	"testing"
)

// The cases that a case needs come before it in the list, and need no others themselves.
func TestNeedsStandBefore(t *testing.T) {
	check := func(kind string, names []string, needs func(i int) []string) {
		for i := range names {
			for _, need := range needs(i) {
				if at := slices.Index(names, need); at < 0 || at >= i || len(needs(at)) > 0 {
					t.Errorf("%s: %q needs %q, which stands at %d of %d", kind, names[i], need, at, i)
				}
			}
		}
	}
	language, vision := Language(Options{}), Vision(Options{})
	var names []string
	for _, c := range language {
		names = append(names, c.Name)
	}
	check("language", names, func(i int) []string { return language[i].Needs })
	names = nil
	for _, c := range vision {
		names = append(names, c.Name)
	}
	check("vision", names, func(i int) []string { return vision[i].Needs })
	if needed := vision[0].Name; !slices.Equal(vision[len(vision)-1].Needs, []string{needed}) {
		t.Errorf("the last case of vision needs %q, want %q", vision[len(vision)-1].Needs, needed)
	}
}
