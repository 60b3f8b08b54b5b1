package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../../.."

// The page is up to date with the .proto files.
func TestPageIsUpToDate(t *testing.T) {
	var page strings.Builder
	if err := write(&page, filepath.Join(root, protoFolder)); err != nil {
		t.Fatal(err)
	}
	committed, err := os.ReadFile(filepath.Join(root, "docs", "protocol.md"))
	if err != nil {
		t.Fatal(err)
	}
	if page.String() != string(committed) {
		t.Error("docs/protocol.md differs from the .proto files: run go run ./tools/proto/reference > docs/protocol.md")
	}
}

// Every link has a target.
func TestLinksLead(t *testing.T) {
	var page strings.Builder
	if err := write(&page, filepath.Join(root, protoFolder)); err != nil {
		t.Fatal(err)
	}
	links := regexp.MustCompile(`\]\(#(\w+)\)`).FindAllStringSubmatch(page.String(), -1)
	if len(links) < 20 {
		t.Fatalf("the page has %d links", len(links))
	}
	for _, l := range links {
		if !regexp.MustCompile(`(?mi)^## ` + l[1] + `$`).MatchString(page.String()) {
			t.Errorf("no title for the link to %s", l[1])
		}
	}
}
