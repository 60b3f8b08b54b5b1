package stricttoml

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

type inner struct {
	Rate  float64    `toml:"rate"`
	Count int        `toml:"count"`
	Betas [2]float64 `toml:"betas"`
	Opt   *int       `toml:"opt"`
}

type named struct {
	ID   string `toml:"id"`
	Path string `toml:"path"`
}

func (n *named) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		return errors.New("is empty, want a name")
	}
	n.ID = string(b)
	return nil
}

type outer struct {
	Name   string   `toml:"name"`
	On     bool     `toml:"on"`
	Inner  inner    `toml:"inner"`
	Other  *inner   `toml:"other"`
	Source named    `toml:"source"`
	Tags   []string `toml:"tags"`
	Seed   uint64   `toml:"seed"`
}

const good = `
name = "x" # name = "comment"
tags = [
  "a", "rate = 3",
]
source = "kit"
[inner]
rate = 1
betas = [0.9, 0.98]
opt = -1
[other]
count = 3
`

func TestDecode(t *testing.T) {
	d, err := Parse("f.toml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"inner.count=7", "name=bare string", "on=true", `source={path="p"}`, "seed=5"} {
		if err := d.Set(Override{Assignment: s}); err != nil {
			t.Fatal(err)
		}
	}
	v := outer{Inner: inner{Count: 1, Rate: 9}}
	d.Decode(&v)
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}
	if v.Name != "bare string" || !v.On || v.Inner.Rate != 1 || v.Inner.Count != 7 || v.Inner.Betas != [2]float64{.9, .98} ||
		*v.Inner.Opt != -1 || v.Other.Count != 3 || v.Source != (named{Path: "p"}) || v.Tags[1] != "rate = 3" || v.Seed != 5 {
		t.Errorf("decoded %+v", v)
	}
	for key, want := range map[string]string{"inner.rate": "f.toml:8", "other.count": "f.toml:12", "other.rate": "f.toml:11",
		"inner.count": "--set inner.count=7", "nothing": "f.toml"} {
		if got := d.place(key).text; got != want {
			t.Errorf("%s is at %s, want %s", key, got, want)
		}
	}
}

func TestMaps(t *testing.T) {
	var v struct {
		Paths map[string]string `toml:"paths"`
	}
	d, err := Parse("f.toml", []byte("[paths]\n\"opt-2.7b\" = \"/x\"\nother = 3\n"))
	if err != nil {
		t.Fatal(err)
	}
	d.Decode(&v)
	if err := d.Err(); err == nil || err.Error() != "f.toml:3: paths.other: is the integer 3, want a string" || v.Paths["opt-2.7b"] != "/x" {
		t.Errorf("decoded %v, %v", v, err)
	}
}

// Messages quote the flag that the user typed.
func TestOverridesOfOtherFlags(t *testing.T) {
	d, err := Parse("f.toml", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Set(Override{Assignment: "name=3", Flag: "--title 3"}); err != nil {
		t.Fatal(err)
	}
	var v outer
	d.Decode(&v)
	var p Problems
	if err := d.Err(); !errors.As(err, &p) || !p.Override() || err.Error() != "--title 3: name: is the integer 3, want a string" {
		t.Errorf("got %v", err)
	}
	if err := d.Set(Override{Assignment: "name.x=3", Flag: "--title"}); err == nil || !strings.HasPrefix(err.Error(), "--title: name.x: ") {
		t.Errorf("got %v", err)
	}
}

func TestProblemsAreCollected(t *testing.T) {
	d, err := Parse("f.toml", []byte(`
# rate = 1
nam = "x"
[inner]
rate = "fast"
count = 1.5
betas = [1]
quux = 1
opt = nan
[other]
rate = -inf
[source]
idd = "x"
`))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Set(Override{Assignment: "seed=-1"}); err != nil {
		t.Fatal(err)
	}
	var v outer
	d.Decode(&v)
	d.Errorf("inner.rate", "is %v, want more", 0)
	err = d.Err()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"f.toml:3: nam: unknown key; did you mean name?",
		`f.toml:5: inner.rate: is the string "fast", want a number`,
		"f.toml:6: inner.count: is the number 1.5, want an integer",
		"f.toml:7: inner.betas: has 1 values, want 2",
		"f.toml:8: inner.quux: unknown key, want one of rate, count, betas, opt",
		"f.toml:9: inner.opt: is NaN, want an integer",
		"f.toml:11: other.rate: is -Inf, want a finite number",
		"f.toml:13: source.idd: unknown key; did you mean source.id?",
		"--set seed=-1: seed: is the integer -1, want an integer of at least 0",
		"f.toml:5: inner.rate: is 0, want more",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
	var p Problems
	if !errors.As(err, &p) || !p.Override() || len(p) != 10 {
		t.Errorf("problems %v", p)
	}
}

// The search for a key has a limit, because a file with many keys that cannot be found would take
// minutes. Their values are decoded nevertheless.
func TestKeysWithoutAPlace(t *testing.T) {
	for hidden, found := range map[int]bool{10: true, 2000: false} {
		d, err := Parse("f.toml", []byte(strings.Repeat("#\n", hidden)+escaped(hidden)+"last = 1\n"))
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := d.places["last"]; ok != found || !d.Has("last") || !d.Has("a0") {
			t.Errorf("after %d keys without a place, the last key has one: %v, want %v", hidden, ok, found)
		}
	}
}

// escaped returns keys a0, a1, … whose names are written with escapes.
func escaped(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "\"\\u0061%d\" = 1\n", i)
	}
	return text.String()
}

func TestSyntaxAndAssignments(t *testing.T) {
	_, err := Parse("f.toml", []byte("a = 1\nb = = 2\n"))
	if err == nil || !strings.HasPrefix(err.Error(), "f.toml:2: ") {
		t.Errorf("got %v", err)
	}
	d, _ := Parse("f.toml", []byte("a = 1\n"))
	for _, s := range []string{"a", "=1", "a..b=1", "a.b=2"} {
		if err := d.Set(Override{Assignment: s}); err == nil {
			t.Errorf("%q was accepted", s)
		}
	}
	if _, err := Read(t.TempDir() + "/none.toml"); err == nil {
		t.Error("a missing file was read")
	}
}

// A damaged file that the command line names is not a mistake on the command line.
func TestDamagedFileIsNotWrongUsage(t *testing.T) {
	for kind, want := range map[adapters.Kind]bool{adapters.NotFound: true, adapters.Corrupt: false} {
		d, err := Parse("f.toml", []byte(good))
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Set(Override{Assignment: "name=folder"}); err != nil {
			t.Fatal(err)
		}
		d.Errorf("name", "%w", adapters.Errorf(kind, "config.json is of no use"))
		var problems Problems
		if err := d.Err(); !errors.As(err, &problems) || problems.Override() != want || err.Error() != "--set name=folder: name: config.json is of no use" {
			t.Errorf("%v: got %v, override %v, want %v", kind, err, problems.Override(), want)
		}
	}
}

// If an override replaces a table, problems in it are reported at the override, not at the
// replaced lines of the file.
func TestReplacedTableIsReportedAtItsOverride(t *testing.T) {
	d, err := Parse("f.toml", []byte("[table]\nid = \"old\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Set(Override{Assignment: `table={id="new"}`, Flag: "--llm new"}); err != nil {
		t.Fatal(err)
	}
	d.Errorf("table.id", "is not known")
	if got := d.Err().Error(); got != "--llm new: table.id: is not known" {
		t.Errorf("got %q", got)
	}
}

func TestRewrite(t *testing.T) {
	d, err := Parse("f.toml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"name", "tags", "inner.rate", "inner", "nothing", "no.table", "name.x"} {
		d.Rewrite(key, func(s string) string { return s + s })
	}
	if err := d.Set(Override{Assignment: "source=other"}); err != nil {
		t.Fatal(err)
	}
	var v outer
	d.Decode(&v)
	if err := d.Err(); err != nil || v.Name != "xx" || v.Source.ID != "other" || len(v.Tags) != 2 || d.place("name").text != "f.toml:2" {
		t.Errorf("%+v, %v", v, err)
	}
}

// A byte that is not UTF-8 is reported with its place, anywhere in the file.
func TestNotUTF8(t *testing.T) {
	for text, want := range map[string]string{
		"name = 'x'\n# caf\xe9\n":        "f.toml:2: not UTF-8, which TOML requires: byte 0xe9 at column 6 (save it as UTF-8)",
		"# \xff\nname = 'x'\n":           "f.toml:1: not UTF-8, which TOML requires: byte 0xff at column 3",
		"\xff\xfen\x00a\x00m\x00e\x00":   "it looks like UTF-16",
		"\xfe\xff\x00n\x00a\x00m\x00e":   "it looks like UTF-16",
		"\xff\xfe":                       "byte 0xff at column 1",
		"name = 'ü\xc3'":                 "0xc3 at column 10",
		"name = 'x' # \xed\xa0\x80 half": "0xed at column 14",
	} {
		if _, err := Parse("f.toml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q in it", text, err, want)
		}
	}
	d, err := Parse("f.toml", nil)
	if err == nil {
		err = d.Set(Override{Assignment: "name=a\xff"})
	}
	if err == nil || !strings.Contains(err.Error(), "name: is not UTF-8") {
		t.Errorf("an override: %v", err)
	}
	if _, err := Parse("f.toml", []byte("\xef\xbb\xbfname = 'é\ufffd'\n")); err != nil {
		t.Errorf("a byte order mark, and the replacement character: %v", err)
	}
}

// Text from a file cannot control the terminal or add a line to the error.
func TestProblemsArePrintable(t *testing.T) {
	for text, want := range map[string]string{
		"\"na\\u001b[2Jme\" = 1":         `f.toml: na\x1b[2Jme: unknown key`,
		"\"x\\nbridge: it is well\" = 1": `f.toml: x\nbridge: it is well: unknown key`,
		"name = 0b\x1b[2J":               `f.toml:1: name: not valid TOML: `,
	} {
		doc, err := Parse("f.toml", []byte(text))
		if err == nil {
			var o outer
			doc.Decode(&o)
			err = doc.Err()
		}
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%q: got %q, want %q", text, err, want)
		}
	}
}

func TestSetValue(t *testing.T) {
	d, err := Parse("f.toml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	opt := -2
	for key, v := range map[string]any{"name": "a \"b\" = c", "on": true, "inner": inner{Rate: 1e-3, Betas: [2]float64{.5, 1}, Opt: &opt}, "other.count": 7, "seed": uint64(9), "tags": []string{"x = y"}} {
		if err := d.SetValue(key, v, "--it"); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.SetValue("tags.x", 1, "--it"); err == nil || err.Error() != "--it: tags.x: tags is not a table" {
		t.Errorf("a key below a list: %v", err)
	}
	if err := d.Set(Override{Assignment: "inner.count=3"}); err != nil {
		t.Fatal(err)
	}
	var v outer
	d.Decode(&v)
	d.Errorf("inner.rate", "is too small")
	if err := d.Err(); err == nil || err.Error() != "--it: inner.rate: is too small" || !d.problems.Override() {
		t.Errorf("got %v", err)
	}
	if v.Name != "a \"b\" = c" || !v.On || v.Inner.Rate != 1e-3 || v.Inner.Count != 3 || v.Inner.Betas != [2]float64{.5, 1} || *v.Inner.Opt != -2 ||
		v.Other.Count != 7 || v.Seed != 9 || len(v.Tags) != 1 || v.Tags[0] != "x = y" {
		t.Errorf("decoded %+v", v)
	}
}

func TestValues(t *testing.T) {
	type embedded struct {
		ID string `toml:"id,omitempty"`
	}
	got := Values(&struct {
		embedded
		Inner  inner    `toml:"inner"`
		None   *inner   `toml:"none"`
		Zero   int      `toml:"zero,omitzero"`
		Empty  []string `toml:"empty,omitempty"`
		Tags   []string `toml:"tags,omitempty"`
		Hidden int
	}{embedded: embedded{"x"}, Empty: []string{}, Tags: []string{"a"}, Hidden: 1})
	want := map[string]any{"id": "x", "tags": []any{"a"}, "inner": map[string]any{"rate": 0.0, "count": int64(0), "betas": []any{0.0, 0.0}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, want %#v", got, want)
	}
}

func TestFormat(t *testing.T) {
	for want, v := range map[string]any{`"a\nb = \"c\""`: "a\nb = \"c\"", "1.0": 1.0, "0.00001": 1e-5, "3": int64(3), "true": true, `["a", "b"]`: []any{"a", "b"}} {
		if got := Format(v); got != want {
			t.Errorf("%v is formatted as %s, want %s", v, got, want)
		}
	}
}
