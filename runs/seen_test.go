package runs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each picture is recorded once, also by a run that continues after its last line was cut off.
func TestSeenPictures(t *testing.T) {
	path := filepath.Join(t.TempDir(), seenFile)
	record := func(keep bool, most int, digests ...string) error {
		t.Helper()
		s, err := openSeen(path, keep, most)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range digests {
			s.add(d)
		}
		return s.close()
	}
	check := func(want ...string) {
		t.Helper()
		got := map[string]bool{}
		if _, err := readSeen(path, got); err != nil {
			t.Fatal(err)
		}
		for _, d := range want {
			if !got[d] {
				t.Errorf("%s is not recorded", d)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
	a, b, c := strings.Repeat("a", 16), strings.Repeat("b", 16), strings.Repeat("c", 16)
	if err := record(false, 9, a, b, a); err != nil {
		t.Fatal(err)
	}
	check(a, b)
	if info, err := os.Stat(path); err != nil || info.Size() != 34 {
		t.Errorf("%v, %v, want two lines", info, err)
	}
	if err := os.Truncate(path, 20); err != nil {
		t.Fatal(err)
	}
	check(a)
	if err := record(true, 9, a, c, b); err != nil {
		t.Fatal(err)
	}
	check(a, b, c)
	if err := record(false, 1, a, b); err == nil || !strings.Contains(err.Error(), "more than 1 pictures") {
		t.Errorf("%v", err)
	}
	check(a)
}
