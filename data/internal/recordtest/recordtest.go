// Package recordtest shows records in the tests of readers.
package recordtest

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/data/record"
)

// Show returns a record in one line: its pictures as <NAME>, its texts in quotation marks with
// weights other than 1, their roles before them, kinds in parentheses, and ! behind targets. The key
// and the group stand before them.
func Show(r record.Record) string {
	var all []string
	for _, p := range r.Parts {
		if p.Picture != nil {
			all = append(all, "<"+p.Picture.Name+">")
			continue
		}
		var texts []string
		for _, t := range p.Texts {
			text := fmt.Sprintf("%q", t.Text)
			if t.Weight != 1 {
				text += fmt.Sprintf("×%g", t.Weight)
			}
			texts = append(texts, text)
		}
		one := string(p.Role) + strings.Join(texts, "/")
		if p.Kind != "" {
			one += "(" + p.Kind + ")"
		}
		if p.Target {
			one += "!"
		}
		all = append(all, one)
	}
	return strings.TrimSpace(r.Key + " " + r.Group + ": " + strings.Join(all, " "))
}

// All returns all records of a reader as Show does, and "bad: REASON" for bad ones.
func All(t *testing.T, r record.Reader) []string {
	t.Helper()
	var all []string
	for i := range r.Len() {
		rec, err := r.Record(i)
		if err == nil {
			if rec.File == "" {
				t.Errorf("record %d does not name its file", i)
			}
			all = append(all, Show(rec))
			continue
		}
		bad, ok := err.(*record.BadRecord)
		if !ok {
			t.Fatalf("record %d: %v, want a bad record", i, err)
		}
		if bad.Row != i || bad.File == "" || bad.Why == "" {
			t.Errorf("record %d: the error names row %d of %q, %q", i, bad.Row, bad.File, bad.Why)
		}
		all = append(all, strings.TrimSpace("bad "+bad.Key)+": "+bad.Err.Error())
	}
	return all
}

// File writes a file to a new folder.
func File(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Close closes a reader at the end of a test.
func Close(t *testing.T, r io.Closer) {
	t.Helper()
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Compare reports records that are not the wanted ones. A wanted "bad…" matches the begin of a bad
// record's text.
func Compare(t *testing.T, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d records, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] && !(strings.HasPrefix(want[i], "bad") && strings.Contains(got[i], strings.TrimPrefix(want[i], "bad ")) && strings.HasPrefix(got[i], "bad")) {
			t.Errorf("record %d is\n  %s\nwant\n  %s", i, got[i], want[i])
		}
	}
}
