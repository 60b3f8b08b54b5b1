package ptb_test

import (
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/eval/metrics/ptb"
	"github.com/modular-bridging/bridge/internal/testenv"
)

// lines returns the lines of a file.
func lines(t *testing.T, path string) []string {
	t.Helper()
	return strings.Split(strings.TrimSuffix(string(testenv.ReadAll(t, path)), "\n"), "\n")
}

// mustEqual compares all lines with those of the jar.
func mustEqual(t *testing.T, in, want []string) {
	t.Helper()
	got := ptb.Tokenize(in)
	if len(got) != len(in) || len(want) != len(in) {
		t.Fatalf("%d lines of %d, want %d", len(got), len(in), len(want))
	}
	for i := range in {
		if got[i] != want[i] {
			t.Errorf("line %d\n%s\n%s\nwant\n%s", i+1, in[i], got[i], want[i])
		}
	}
}

// The captions are COCO's; those with rare signs are over-represented. tools/reference/ptb.py
// chose them and ran the jar.
func TestTokenizeEqualsTheJar(t *testing.T) {
	in, want := lines(t, "testdata/captions.in.txt.gz"), lines(t, "testdata/captions.out.txt.gz")
	if len(in) < 2000 {
		t.Fatalf("%d captions", len(in))
	}
	mustEqual(t, in, want)
}

// The texts have each rule and its exceptions, as the jar reads them.
func TestTokenizeEqualsTheJarOnOddTexts(t *testing.T) {
	in, want := lines(t, "testdata/odd.in.txt"), lines(t, "testdata/odd.out.txt")
	if len(in) < 100 {
		t.Fatalf("%d texts", len(in))
	}
	mustEqual(t, in, want)
}

func TestTokenizeEqualsTheJarOnTheWholeFile(t *testing.T) {
	mustEqual(t, lines(t, testenv.Data(t, "ptb_in.txt.gz")), lines(t, testenv.Data(t, "ptb_out.txt.gz")))
}

func TestWordsDropsWhatPycocoevalcapDrops(t *testing.T) {
	got := ptb.Words([]string{"A man (left) rides; \"Stop!\" -- isn't it...?", "", "two\nlines.", "5 % !! - ''"})
	for i, want := range []string{"a man -lrb- left -rrb- rides stop is n't it", "", "two lines", "5 % !!"} {
		if got[i] != want {
			t.Errorf("%q, want %q", got[i], want)
		}
	}
	if got := ptb.Words(nil); len(got) != 0 {
		t.Errorf("%q of no captions", got)
	}
}

// A fraction is one token, whose space does not separate tokens in strings.Split.
func TestFractionsAreOneToken(t *testing.T) {
	if got := ptb.Words([]string{"25 1/2 miles"})[0]; got != "25\u00a01/2 miles" {
		t.Errorf("%q", got)
	}
}

// No text loses a line or fails.
func FuzzTokenize(f *testing.F) {
	f.Add("A man's \"dog\" (left) isn't U.S. a@b.c <br> &amp; ... 1/2\nThe end.")
	f.Add("'\n'\"`\n<\n&\n.\n-\n\u00ad")
	f.Fuzz(func(t *testing.T, text string) {
		in := strings.Split(text, "\n")
		if got := ptb.Tokenize(in); len(got) != len(in) {
			t.Errorf("%d lines of %d", len(got), len(in))
		}
	})
}
