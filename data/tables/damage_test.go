package tables_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/record"
	"github.com/modular-bridging/bridge/data/tables"
)

// outcome reads all rows of a file: the description of each, or "" for a bad record. It returns an
// error if the file is refused.
func outcome(t *testing.T, path string) ([]string, error) {
	t.Helper()
	r, err := tables.Open([]string{path}, "")
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var all []string
	for i := range r.Len() {
		rec, err := r.Record(i)
		var bad *record.BadRecord
		switch {
		case err == nil:
			all = append(all, fmt.Sprint(show(t, rec)))
		case errors.As(err, &bad):
			all = append(all, "")
		default:
			t.Fatalf("row %d: %v, want a bad record", i, err)
		}
	}
	return all, nil
}

// A file with checksums of its pages does not give a wrong row after a bit has flipped: the row is
// a bad record, or the file is refused with its name. Bits are flipped in every 31st byte.
func TestFlippedBitsAreFoundByChecksums(t *testing.T) {
	whole, err := os.ReadFile("testdata/legacy-checksums.parquet")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "flipped.parquet")
	picture, err := os.ReadFile("testdata/5.png")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "5.png"), picture, 0o644), os.WriteFile(path, whole, 0o644)); err != nil {
		t.Fatal(err)
	}
	want, err := outcome(t, path)
	if err != nil {
		t.Fatal(err)
	}
	bad, refused, same := 0, 0, 0
	for at := 4; at < pagesEnd(t, whole); at += 31 {
		damaged := append([]byte(nil), whole...)
		damaged[at] ^= 1 << (at % 8)
		if err := os.WriteFile(path, damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := outcome(t, path)
		if err != nil {
			if adapters.KindOf(err) != adapters.Corrupt {
				t.Errorf("byte %d: %v", at, err)
			}
			refused++
			continue
		}
		if reflect.DeepEqual(got, want) {
			same++ // a byte of a header that nothing depends on
			continue
		}
		for i := range want {
			switch {
			case i >= len(got) || got[i] == "":
				bad++
			case got[i] != want[i]:
				t.Fatalf("byte %d: row %d is %s, want %s or a bad record", at, i, got[i], want[i])
			}
		}
	}
	if bad == 0 {
		t.Errorf("%d bad records, %d files refused, %d unchanged; want bad records", bad, refused, same)
	}
	t.Logf("%d bad records, %d files refused, %d files unchanged", bad, refused, same)
}

// pagesEnd returns the offset of the footer, which has no checksum.
func pagesEnd(t *testing.T, file []byte) int {
	t.Helper()
	n := len(file)
	footer := int(file[n-8]) | int(file[n-7])<<8 | int(file[n-6])<<16
	return n - 8 - footer
}

// Damage without checksums makes no panic, and no error of another kind.
func TestDamagedFilesMakeNoPanic(t *testing.T) {
	for _, name := range []string{"legacy-plain", "legacy-v2", "legacy-index", "legacy-delta", "hub-documents", "hub-vqa"} {
		whole, err := os.ReadFile("testdata/" + name + ".parquet")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "damaged.parquet")
		for at := 4; at < len(whole); at += 101 {
			damaged := append([]byte(nil), whole...)
			damaged[at] ^= 0xff
			if err := os.WriteFile(path, damaged, 0o644); err != nil {
				t.Fatal(err)
			}
			if r, err := tables.Open([]string{path}, t.TempDir()); err == nil {
				for i := range r.Len() {
					var bad *record.BadRecord
					if _, err := r.Record(i); err != nil && !errors.As(err, &bad) {
						t.Errorf("%s: byte %d: row %d: %v", name, at, i, err)
					}
				}
				_ = r.Close() // its file is damaged
			} else if adapters.KindOf(err) == adapters.Unknown {
				t.Errorf("%s: byte %d: %v", name, at, err)
			}
		}
	}
}
