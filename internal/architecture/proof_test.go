package architecture

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every test, case and make target in docs/proof.md exists, so that each claim on the page has a
// proof.
func TestProofNamesExistingTests(t *testing.T) {
	root := filepath.Join("..", "..")
	page := read(t, filepath.Join(root, "docs", "proof.md"))
	tests := regexp.MustCompile("`([a-z/]+)\\.((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(page, -1)
	cases := regexp.MustCompile(`\*suite: ([^*]+)\*`).FindAllStringSubmatch(page, -1)
	targets := regexp.MustCompile("`make ([a-z-]+)").FindAllStringSubmatch(page, -1)
	if len(tests) < 30 || len(cases) < 15 || len(targets) < 3 {
		t.Fatalf("the page names %d tests, %d cases and %d targets", len(tests), len(cases), len(targets))
	}
	for _, m := range tests {
		files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(m[1]), "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, file := range files {
			found = found || strings.Contains(read(t, file), "\nfunc "+m[2]+"(")
		}
		if !found {
			t.Errorf("%s has no %s", m[1], m[2])
		}
	}
	list := read(t, filepath.Join(root, "docs", "conformance.md"))
	for _, m := range cases {
		if !strings.Contains(list, "**"+strings.Join(strings.Fields(m[1]), " ")+"**") {
			t.Errorf("the suite has no case %q", m[1])
		}
	}
	makefile := read(t, filepath.Join(root, "Makefile"))
	for _, m := range targets {
		if !strings.Contains(makefile, "\n"+m[1]+":") {
			t.Errorf("the Makefile has no target %s", m[1])
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
