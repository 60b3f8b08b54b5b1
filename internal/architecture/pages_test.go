package architecture

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pages returns the Markdown files of the repository, from its root.
func pages(t *testing.T) []string {
	t.Helper()
	var all []string
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && (name == ".git" || name == ".venv" || name == "bin" || name == "node_modules" || name == "template") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(name, ".md") {
			page, err := filepath.Rel(root, path)
			all = append(all, filepath.ToSlash(page))
			return err
		}
		return nil
	})
	if err != nil || len(all) < 30 {
		t.Fatalf("found %d pages, %v", len(all), err)
	}
	return all
}

var (
	codePath = regexp.MustCompile("`([a-z][a-z0-9_]*(?:/[A-Za-z0-9_.-]+)+/?)`")
	linkPath = regexp.MustCompile(`\]\(([^)#:\s]+)(?:#[^)]*)?\)`)
	testName = regexp.MustCompile(`\b(?:Test|Example|Fuzz|Benchmark)_?[A-Z]\w*|\bExample_\w+`)
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Example|Fuzz|Benchmark)\w*)\(`)
)

// Files and folders of the repository that a page names exist, and so do those that it
// links to. Decision pages record the past, so only their links count.
func TestPagesNameFilesThatExist(t *testing.T) {
	root := filepath.Join("..", "..")
	top, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	isTop := func(name string) bool {
		return slices.ContainsFunc(top, func(e os.DirEntry) bool { return e.IsDir() && e.Name() == name })
	}
	missing := func(path string) bool {
		_, err := os.Stat(filepath.Join(root, filepath.FromSlash(path)))
		return err != nil
	}
	named := 0
	for _, page := range pages(t) {
		text := read(t, filepath.Join(root, page))
		for _, found := range linkPath.FindAllStringSubmatch(text, -1) {
			if target := filepath.Join(filepath.Dir(page), found[1]); missing(target) {
				t.Errorf("%s links to %s, which does not exist", page, target)
			}
		}
		if strings.HasPrefix(page, "docs/decisions/") {
			continue
		}
		for _, found := range codePath.FindAllStringSubmatch(text, -1) {
			path := strings.TrimSuffix(found[1], "/")
			first, _, _ := strings.Cut(path, "/")
			isOutput := first == "bin" || first == "dist" || first == "runs" && !strings.HasSuffix(path, ".go")
			isTest := strings.Contains(path, ".Test") || strings.Contains(path, ".Fuzz") // TestProofNamesWhatIsThere
			if !isTop(first) || isOutput || isTest || strings.Contains(path, "NAME") || strings.Contains(path, "ID") {
				continue
			}
			named++
			if missing(path) && missing(filepath.Join(filepath.Dir(page), path)) {
				t.Errorf("%s names %s, which does not exist", page, path)
			}
		}
	}
	if named < 60 {
		t.Errorf("found %d paths in the pages", named)
	}
}

// A test, example, fuzzer or benchmark that README.md or a page in docs names exists.
func TestPagesNameTestsThatExist(t *testing.T) {
	root := filepath.Join("..", "..")
	known := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && (name == ".git" || name == ".venv" || name == "bin" || name == "node_modules") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") { // the suites of adaptertest are functions for tests, too
			for _, found := range testFunc.FindAllStringSubmatch(read(t, path), -1) {
				known[found[1]] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, page := range pages(t) {
		if page != "README.md" && !strings.HasPrefix(page, "docs/") {
			continue
		}
		for _, name := range testName.FindAllString(read(t, filepath.Join(root, page)), -1) {
			named++
			if !known[name] {
				t.Errorf("%s names %s, which does not exist", page, name)
			}
		}
	}
	if named < 60 {
		t.Errorf("found %d names of tests in the pages", named)
	}
}
