package conformance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

// The page matches the cases. BRIDGE_WRITE_PAGE=1 writes it again.
func TestPage(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "conformance.md")
	var b strings.Builder
	if err := writePage(&b); err != nil {
		t.Fatal(err)
	}
	if os.Getenv("BRIDGE_WRITE_PAGE") != "" {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(page) != b.String() {
		t.Error("docs/conformance.md does not match the cases: make conformance-page writes it again")
	}
}

func TestRulesAreThere(t *testing.T) {
	for _, rule := range rules() {
		page, heading, _ := strings.Cut(rule, ", ")
		text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(page)))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "\n## "+heading+"\n") {
			t.Errorf("%s has no heading %q", page, heading)
		}
	}
}

func TestCaseNamesAreUnique(t *testing.T) {
	for _, kind := range []adapters.ModelKind{adapters.KindLanguage, adapters.KindVision} {
		seen := map[string]bool{}
		for _, c := range Cases(kind) {
			if seen[c.Name] || c.Wants == "" || c.Fix == "" {
				t.Errorf("%q is listed twice, or has no text: %+v", c.Name, c)
			}
			seen[c.Name] = true
		}
	}
}
