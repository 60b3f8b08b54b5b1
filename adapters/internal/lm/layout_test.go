package lm

import (
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/tokenizer"
)

// pairs is a tokenizer whose tokens are two bytes of text (the last may be one):
// the id is the sum of the bytes. Tokens straddle joined strings as merges do.
type pairs struct{}

func (pairs) EncodeTexts(texts []string) ([]tokenizer.Encoding, error) {
	out := make([]tokenizer.Encoding, len(texts))
	for i, text := range texts {
		for at := 0; at < len(text); at += 2 {
			end := min(at+2, len(text))
			out[i].IDs = append(out[i].IDs, token(text[at:end]))
			out[i].Offsets = append(out[i].Offsets, [2]int{at, end})
		}
	}
	return out, nil
}

func token(s string) (id int32) {
	for _, b := range []byte(s) {
		id = id*256 + int32(b)
	}
	return id
}

// line writes a layout: a letter or two are a token, <n> is prompt row n.
func line(s string) (ids []int32) {
	for _, word := range strings.Fields(s) {
		switch {
		case word == "BOS":
			ids = append(ids, bos)
		case word == "END":
			ids = append(ids, end)
		case word[0] == '<':
			ids = append(ids, ^int32(word[1]-'0'))
		default:
			ids = append(ids, token(word))
		}
	}
	return ids
}

const bos, end, start = 900001, 900002, 900003

func prompt(i int) adapters.Segment  { return adapters.PromptSegment(i) }
func text(s string) adapters.Segment { return adapters.TextSegment(s) }

func TestDecoderOnlyLayout(t *testing.T) {
	tests := []struct {
		name     string
		segments []adapters.Segment
		target   string
		line     string // input, target and end
		targets  int
		open     string // what generation starts from
	}{
		{"text joined with the target", []adapters.Segment{text("ab")}, "cd", "BOS ab cd END", 2, "BOS ab"},
		{"token over the seam is a target", []adapters.Segment{text("abc")}, "de", "BOS ab cd e END", 3, "BOS ab c"},
		{"neighbouring texts joined", []adapters.Segment{text("a"), text("b"), text("c")}, "d", "BOS ab cd END", 2, "BOS ab c"},
		{"bos after leading prompts", []adapters.Segment{prompt(1), text("ab")}, "c", "<2 <3 BOS ab c END", 2, "<2 <3 BOS ab"},
		{"two leading prompts", []adapters.Segment{prompt(1), prompt(0), text("ab")}, "c", "<2 <3 <0 <1 BOS ab c END", 2, "<2 <3 <0 <1 BOS ab"},
		{"only prompts: bos is a target", []adapters.Segment{prompt(0)}, "ab", "<0 <1 BOS ab END", 3, "<0 <1 BOS"},
		{"only prompts, empty target", []adapters.Segment{prompt(0)}, "", "<0 <1 BOS END", 2, "<0 <1 BOS"},
		{"text before a prompt", []adapters.Segment{text("abc"), prompt(0)}, "de", "BOS ab c <0 <1 de END", 2, "BOS ab c <0 <1"},
		{"text after a later prompt: no bos", []adapters.Segment{text("a"), prompt(0), text("b")}, "c", "BOS a <0 <1 bc END", 2, "BOS a <0 <1 b"},
		{"prompts and texts in turn", []adapters.Segment{prompt(0), text("abc"), prompt(1), text("d")}, "e", "<0 <1 BOS ab c <2 <3 de END", 2, "<0 <1 BOS ab c <2 <3 d"},
		{"no soft prompt, empty target", []adapters.Segment{text("ab")}, "", "BOS ab END", 1, "BOS ab"},
		{"empty text: bos is no target", []adapters.Segment{prompt(0), text("")}, "ab", "<0 <1 BOS ab END", 2, "<0 <1 BOS"},
		{"empty text alone", []adapters.Segment{text("")}, "ab", "BOS ab END", 2, "BOS"},
		{"empty text between texts", []adapters.Segment{text("a"), text(""), text("b")}, "c", "BOS ab c END", 2, "BOS ab"},
	}
	l := Layout{Architecture: adapters.DecoderOnly, SpecialTokens: SpecialTokens{BOS: bos, End: []int32{end}}, Tokenizer: pairs{}, Rows: 2}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			example := []adapters.Example{{Segments: test.segments, Target: test.target}}
			scored, err := l.WithTargets(example)
			if err != nil {
				t.Fatal(err)
			}
			want := line(test.line)
			s, n := scored[0], len(want)
			if !slices.Equal(s.Input, want[:n-1]) {
				t.Errorf("input %v, want %v", s.Input, want[:n-1])
			}
			if !slices.Equal(s.Target, want[n-test.targets:]) {
				t.Errorf("target %v, want %v", s.Target, want[n-test.targets:])
			}
			if s.First != n-test.targets-1 {
				t.Errorf("first target predicted at %d, want %d", s.First, n-test.targets-1)
			}
			open, err := l.WithoutTargets(example)
			if err != nil {
				t.Fatal(err)
			}
			if want := line(test.open); !slices.Equal(open[0].Input, want) || open[0].Target != nil {
				t.Errorf("open input %v with target %v, want %v", open[0].Input, open[0].Target, want)
			}
		})
	}
}

func TestDecoderOnlyWithoutBOS(t *testing.T) {
	l := Layout{Architecture: adapters.DecoderOnly, SpecialTokens: SpecialTokens{BOS: None, End: []int32{end}}, Tokenizer: pairs{}, Rows: 1}
	got, err := l.WithTargets([]adapters.Example{{Segments: []adapters.Segment{prompt(0)}, Target: "ab"}})
	if err != nil {
		t.Fatal(err)
	}
	if s := got[0]; !slices.Equal(s.Input, line("<0 ab")) || !slices.Equal(s.Target, line("ab END")) || s.First != 0 {
		t.Errorf("got %+v", s)
	}
	empty := []adapters.Example{{Segments: []adapters.Segment{text("")}, Target: "ab"}}
	if _, err := l.WithTargets(empty); adapters.KindOf(err) != adapters.Invalid {
		t.Errorf("target without anything before it: %v, want an invalid request", err)
	}
	if _, err := l.WithoutTargets(empty); adapters.KindOf(err) != adapters.Invalid {
		t.Errorf("generation from nothing: %v, want an invalid request", err)
	}
}

func TestEncoderDecoderLayout(t *testing.T) {
	tests := []struct {
		name     string
		segments []adapters.Segment
		target   string
		input    string
		targets  string
	}{
		{"prompt and text", []adapters.Segment{prompt(1), text("abc")}, "de", "<2 <3 ab c END", "de END"},
		{"neighbouring texts joined, never with the target", []adapters.Segment{text("a"), text("b"), text("c")}, "d", "ab c END", "d END"},
		{"texts and prompts in turn", []adapters.Segment{text("a"), prompt(0), text("b"), prompt(1)}, "", "a <0 <1 b <2 <3 END", "END"},
		{"only prompts", []adapters.Segment{prompt(0)}, "abc", "<0 <1 END", "ab c END"},
		{"empty text", []adapters.Segment{text("")}, "a", "END", "a END"},
	}
	l := Layout{Architecture: adapters.EncoderDecoder, SpecialTokens: SpecialTokens{BOS: None, End: []int32{end}, Start: start}, Tokenizer: pairs{}, Rows: 2}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			example := []adapters.Example{{Segments: test.segments, Target: test.target}}
			scored, err := l.WithTargets(example)
			if err != nil {
				t.Fatal(err)
			}
			if s := scored[0]; !slices.Equal(s.Input, line(test.input)) || !slices.Equal(s.Target, line(test.targets)) {
				t.Errorf("got %v → %v, want %v → %v", s.Input, s.Target, line(test.input), line(test.targets))
			}
			open, err := l.WithoutTargets(example)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(open[0].Input, line(test.input)) || open[0].Target != nil {
				t.Errorf("open input %v with target %v", open[0].Input, open[0].Target)
			}
		})
	}
}

func TestBucketsHoldWhatTheyAreFor(t *testing.T) {
	for n := 1; n <= 4096; n++ {
		if b := lengthBucket(n); b < n || b%8 != 0 || b > max(8, 2*n) || (n >= 64 && 4*b > 5*n+32) {
			t.Errorf("length %d goes to %d", n, b)
		}
		if b := batchBucket(n); b < n || b >= 2*n && n > 1 {
			t.Errorf("batch %d goes to %d", n, b)
		}
	}
	seen := map[int]bool{}
	for n := 1; n <= 2048; n++ {
		seen[lengthBucket(n)] = true
	}
	if len(seen) > 32 {
		t.Errorf("%d buckets for lengths up to 2048, want at most 32", len(seen))
	}
}
