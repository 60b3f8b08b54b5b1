package annotations_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/annotations"
)

// small is a valid file with every key and every kind of value.
const small = `[
 {"image": "1.jpg", "caption": "a dog\u00e9\ud83d\udc36 é", "image_id": 7, "dataset": {"a": [1, null, {"b": "c"}], "x": NaN}},
 {"image": "2.jpg", "caption": ["a cat", "one \"cat\""], "image_id": "coco_7"},
 {"image": "2.jpg", "question": "how many?", "answer": ["1", "one", "1"], "kind": "count", "question_id": 3},
 {"image": "3.jpg", "question": "why?", "answer": "yes"}
]`

// entriesOfSmall are the entries of small.
var entriesOfSmall = []annotations.Entry{
	{Image: "1.jpg", Captions: []string{"a dogé🐶 é"}, ImageID: "7", Line: 2},
	{Image: "2.jpg", Captions: []string{"a cat", `one "cat"`}, ImageID: "coco_7", Index: 1, Line: 3},
	{Image: "2.jpg", Question: "how many?", Answers: []string{"1", "one", "1"}, Kind: "count", Index: 2, Line: 4},
	{Image: "3.jpg", Question: "why?", Answers: []string{"yes"}, Index: 3, Line: 5},
}

// read returns the entries of a text, its errors and its warnings.
func read(t testing.TB, text string, content annotations.Content) (entries []annotations.Entry, errs []error, warnings []string) {
	t.Helper()
	r, err := annotations.NewReader(strings.NewReader(text), "mine.json", content)
	if err != nil {
		return nil, []error{checked(t, text, err)}, nil
	}
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return entries, errs, r.Warnings()
		}
		if err != nil {
			errs = append(errs, checked(t, text, err))
			continue
		}
		entries = append(entries, e)
	}
}

// goWords are parts of messages of Go's own packages.
var goWords = regexp.MustCompile(`\bGo\b|struct|unmarshal|\[\][a-z]|json: cannot|invalid character|%!`)

// checked fails the test unless an error names the file, is of kind Invalid and says nothing of
// Go, except what the file says.
func checked(t testing.TB, file string, err error) error {
	t.Helper()
	leaks := goWords.MatchString(err.Error()) && !goWords.MatchString(file)
	if !strings.Contains(err.Error(), "mine.json") || leaks || adapters.KindOf(err) != adapters.Invalid {
		t.Errorf("kind %s: %v", adapters.KindOf(err), err)
	}
	return err
}

func TestReaderReadsListsAndLines(t *testing.T) {
	lines := strings.NewReplacer("[\n", "", "},\n", "}\n", "\n]", "", "\n ", "\n").Replace(small)
	for name, text := range map[string]string{
		"list": small, "lines": lines, "lines that end": lines + "\n", "lines of Windows": strings.ReplaceAll(lines, "\n", "\r\n"),
		"empty lines": strings.ReplaceAll(lines, "\n", "\n\n"), "mark": "\ufeff" + small, "lines with a mark": "\ufeff" + lines,
		"spaces": strings.Repeat(" ", 10000) + small + "\n\n", "one line": strings.ReplaceAll(small, "\n", ""),
	} {
		got, errs, warnings := read(t, text, annotations.Captions)
		if len(errs) > 0 || len(warnings) > 0 || len(got) != len(entriesOfSmall) {
			t.Errorf("%s: %d entries, %v, %v", name, len(got), errs, warnings)
			continue
		}
		for i, want := range entriesOfSmall {
			got[i].Line = want.Line // counted below
			if !reflect.DeepEqual(got[i], want) {
				t.Errorf("%s: entry %d is %+v, want %+v", name, i, got[i], want)
			}
		}
	}
	got, _, _ := read(t, small, annotations.Captions)
	if !reflect.DeepEqual(got, entriesOfSmall) {
		t.Errorf("got %+v, want %+v", got, entriesOfSmall)
	}
}

// Each key of an entry with each wrong kind of value is an error that names the entry, its
// line, the key, what was found and what was wanted. The entries around it are read.
func TestEachKeyWithEachWrongKindOfValueIsNamed(t *testing.T) {
	values := map[string]string{ // and how messages describe them
		`null`: "null", `NaN`: "NaN", `Infinity`: "Infinity", `-Infinity`: "-Infinity", `true`: "true", `-2.5e3`: "the number -2.5e3",
		`["a", 3]`: "a list", `[["a"]]`: "a list", `[null]`: "a list", `[]`: "a list", `{"a": [1]}`: "an object", `"a"`: "", `7`: "the number 7", `["a", "b"]`: "a list",
	}
	valid := map[string]string{
		"image": "\x00\"a\"\x00", "caption": "\x00\"a\"\x00[\"a\", \"b\"]\x00[]\x00", "image_id": "\x00\"a\"\x007\x00-2.5e3\x00null\x00",
		"question": "\x00\"a\"\x00", "answer": "\x00\"a\"\x00[\"a\", \"b\"]\x00[]\x00", "kind": "\x00\"a\"\x00null\x00",
	}
	base := map[string]string{"image": `"1.jpg"`, "caption": `"a dog"`, "image_id": `1`, "question": `"why?"`, "answer": `"yes"`, "kind": `"k"`}
	good := `{"image": "1.jpg", "caption": "a dog"}`
	for key := range base {
		for value, described := range values {
			var members []string
			for k, v := range base {
				if k == key {
					v = value
				}
				members = append(members, fmt.Sprintf("%q: %s", k, v))
			}
			text := "[" + good + ",\n" + good + ",\n\n{" + strings.Join(members, ", ") + "},\n" + good + "]"
			entries, errs, _ := read(t, text, annotations.Captions)
			if strings.Contains(valid[key], "\x00"+value+"\x00") {
				if len(errs) > 0 || len(entries) != 4 {
					t.Errorf("%s: %s: %v", key, value, errs)
				}
				continue
			}
			if len(errs) != 1 || len(entries) != 3 {
				t.Errorf("%s: %s: %d entries, %v", key, value, len(entries), errs)
				continue
			}
			for _, part := range []string{"entry 2 (line 4)", fmt.Sprintf("%q is %s", key, described), "want a", "("} {
				if !strings.Contains(errs[0].Error(), part) {
					t.Errorf("%s: %s: the message lacks %q: %v", key, value, part, errs[0])
				}
			}
		}
	}
}

// No byte of a file is repaired: each byte that is not UTF-8 is an error with its offset, and
// with the entry that it is in. So is each place where a file is cut off.
func TestEachWrongByteIsNamed(t *testing.T) {
	place := regexp.MustCompile(`(entry \d+ \(line|before the first entry \(line|after entry \d+ \(line)`)
	for i := range small {
		for _, b := range []byte{0xff, 0xe9, 0xc3, 0x80, 0xed} {
			text := []byte(small)
			if text[i] == b { // already there, as part of a character
				continue
			}
			text[i] = b
			_, errs, _ := read(t, string(text), annotations.Captions)
			if len(errs) == 0 {
				t.Fatalf("byte %d as 0x%02X is read without an error", i, b)
			}
			if message := errs[0].Error(); i > 0 && !place.MatchString(message) {
				t.Errorf("byte %d as 0x%02X: the place is not named: %s", i, b, message)
			}
		}
		if _, errs, _ := read(t, small[:i], annotations.Captions); len(errs) == 0 {
			t.Errorf("cut off after %d bytes, the file is read without an error", i)
		}
	}
	_, errs, _ := read(t, `[{"image": "1.jpg", "caption": "a"},`+"\n"+`{"image": "1.jpg", "caption": "caf`+"\xe9"+`"}]`, annotations.Captions)
	if want := `entry 1 (line 2, byte 71): "caption": the byte 0xE9 is not UTF-8`; len(errs) != 1 || !strings.Contains(errs[0].Error(), want) {
		t.Errorf("got %v, want %q", errs, want)
	}
}

// Halves of surrogate pairs are no characters: Python would keep them, and Go would replace
// them.
func TestHalvesOfSurrogatePairsAreRefused(t *testing.T) {
	for _, text := range []string{`\ud83d`, `\ud83d!`, `\udc36`, `\ud83d\ud83d\udc36`, `\udc36\ud83d`, `\ud83d\u0041`, `\uD83D\n`, `\ud83d\\udc36`} {
		for _, entry := range []string{`{"image": "1.jpg", "caption": "a ` + text + `"}`, `{"image": "1.jpg", "question": "q", "answer": ["a", "` + text + `"]}`} {
			entries, errs, _ := read(t, "["+entry+`, {"image": "1.jpg", "caption": "b"}]`, annotations.Captions)
			if len(errs) != 1 || len(entries) != 1 || !strings.Contains(errs[0].Error(), "half of a surrogate pair") || !strings.Contains(errs[0].Error(), "entry 0 (line 1, byte") {
				t.Errorf("%s: %d entries, %v", entry, len(entries), errs)
			}
		}
	}
	entries, errs, _ := read(t, `[{"image": "1.jpg", "caption": "\uD83D\uDC36 🐶", "note": "\ud83d"}]`, annotations.Captions)
	if len(errs) > 0 || len(entries) != 1 || entries[0].Captions[0] != "🐶 🐶" {
		t.Errorf("a pair: %+v, %v", entries, errs)
	}
}

func TestOtherEncodingsAreNamed(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		end := map[binary.AppendByteOrder]string{binary.LittleEndian: "LE", binary.BigEndian: "BE"}[order]
		for _, mark := range []string{"", "\ufeff"} {
			var short, long []byte
			for _, unit := range utf16.Encode([]rune(mark + small)) {
				short = order.AppendUint16(short, unit)
			}
			for _, r := range mark + small {
				long = order.AppendUint32(long, uint32(r))
			}
			for name, text := range map[string][]byte{"UTF-16" + end: short, "UTF-32" + end: long} {
				if _, errs, _ := read(t, string(text), annotations.Captions); len(errs) != 1 || !strings.Contains(errs[0].Error(), "is written in "+name+", want UTF-8") {
					t.Errorf("%s with the mark %q: %v", name, mark, errs)
				}
			}
		}
	}
}

// Equal numbers are equal ids, however they are written. Python takes 7 and 7.0 for one key, too.
func TestNumbersAreOneID(t *testing.T) {
	for id, want := range map[string]string{
		"7": "7", "7.0": "7", "70e-1": "7", "-0.0": "0", "0": "0", "0.5": "0.5", `"7.0"`: "7.0", "null": "", `""`: "",
		"12345678901234567890": "12345678901234567890", "1e400": "1e400",
	} {
		entries, errs, _ := read(t, `[{"image": "1.jpg", "caption": "a", "image_id": `+id+`}]`, annotations.Captions)
		if len(errs) > 0 || len(entries) != 1 || entries[0].ImageID != want {
			t.Errorf("%s: %+v, %v; want %q", id, entries, errs, want)
		}
	}
}

// A key in another case is another key. It is counted beside the right one, and named in its
// place.
func TestKeysAreMatchedExactly(t *testing.T) {
	entries, errs, warnings := read(t, `[{"image": "1.jpg", "Image": "2.jpg", "caption": "a"}, {"image": "3.jpg", "caption": "b"},
		{"IMAGE": "4.jpg", "image": "5.jpg", "caption": "c", "CAPTION": 3}]`, annotations.Captions)
	if len(errs) > 0 || len(entries) != 3 || entries[0].Image != "1.jpg" || entries[2].Image != "5.jpg" || entries[2].Captions[0] != "c" {
		t.Errorf("got %+v, %v", entries, errs)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "2 of 3 entries") {
		t.Errorf("warnings %q, want one that counts 2", warnings)
	}
	for entry, want := range map[string]string{
		`{"Image": "1.jpg", "caption": "a"}`:                 `"image" is missing, want a file name; the entry's keys are "Image", "caption" (keys are matched exactly; rename "Image" to "image")`,
		`{"image": "1.jpg", "captions": "a"}`:                `"caption" is missing`,
		`{"image": "1.jpg", "question": "a", "Answer": "b"}`: `rename "Answer" to "answer"`,
		`{"image": "1.jpg", "caption": "a", "answer": "b"}`:  `"question" is missing, want a text; the entry's keys are "image", "caption", "answer"`,
		`{"image": "1.jpg", "caption": "a", "caption": "b"}`: `"caption" is given twice`,
		`{"imge": "1.jpg", "caption": "a", "image_id": 1}`:   `rename "imge" to "image"`,
		`{}`: `"image" is missing, want a file name; the entry's keys are none`,
	} {
		if _, errs, _ := read(t, "["+entry+"]", annotations.Captions); len(errs) != 1 || !strings.Contains(errs[0].Error(), want) {
			t.Errorf("%s: %v, want %q", entry, errs, want)
		}
	}
}

// Errors show an example of what the file should hold.
func TestExamplesAreOfTheFilesContent(t *testing.T) {
	for text, want := range map[string]string{`[{"image": "1.jpg", "question": "how many?", "answer": 2}]`: `put it in quotes: "2"`, `7`: `"answer": "1"`, `[]`: `"answer": "1"`} {
		if _, errs, _ := read(t, text, annotations.Questions); len(errs) != 1 || !strings.Contains(errs[0].Error(), want) || strings.Contains(errs[0].Error(), `"caption"`) {
			t.Errorf("%s: %v, want %q", text, errs, want)
		}
	}
}

// What is wrong between entries is named with its place.
func TestPunctuationIsNamed(t *testing.T) {
	a := `{"image": "1.jpg", "caption": "a"}`
	for text, want := range map[string]string{
		"[" + a + ",]":                          "found ']' after a comma, want another entry",
		"[" + a + a + "]":                       "after entry 0 (line 1, byte 35): found '{', want ','",
		"[" + a + "\n":                          "the file ends here, before the list does",
		"[" + a + "]]":                          "found ']' after the end of the list",
		"[" + a + "]\n[" + a + "]":              "after entry 0 (line 2, byte 37): found '[' after the end of the list",
		a + ",\n" + a:                           "in JSON lines, each line is an entry and no comma",
		a + "\n\ufeff" + a:                      "a byte order mark (U+FEFF)",
		`["1.jpg"]`:                             `entry 0 (line 1): found the text "1.jpg", want an object`,
		`[` + a + `, null, ` + a + `]`:          "entry 1 (line 1): found null, want an object",
		`[{'image': '1.jpg'}]`:                  `found '\'', want a key in double quotes`,
		`[{"image": "1.jpg", "caption": None}]`: "found None, want a value",
		`[{"image": "1.jpg", "caption": nan}]`:  "found nan, want a value",
		`[{"image": "1.jpg", "caption": "a` + "\n" + `b"}]`: `the control character U+000A in a text, want it written as \n`,
		`[{"image": "a\q.jpg"}]`:                            `found the escape \q in a text`,
		`[{"image": "1.jpg" "caption": "a"}]`:               `found '"', want ',' or '}' in an object`,
		`[{"image": 012}]`:                                  "found 012, want a value",
		`[{"x": ` + strings.Repeat("[", 20000):              "more than 10000 values are nested",
		`[{"image": "` + strings.Repeat("a", 2<<20) + `"}]`: "is longer than 1048576 bytes",
		"": "is empty", " \n": "is empty", "[ ]": " holds an empty list",
	} {
		if _, errs, _ := read(t, text, annotations.Captions); len(errs) == 0 || !strings.Contains(errs[0].Error(), want) {
			t.Errorf("%.60s: %v, want %q", text, errs, want)
		}
	}
	if _, err := annotations.Open(filepath.Join(t.TempDir(), "nowhere.json"), annotations.Captions); adapters.KindOf(err) != adapters.NotFound || !strings.Contains(err.Error(), "nowhere.json") {
		t.Errorf("no file: %v", err)
	}
	if _, err := annotations.Open(t.TempDir(), annotations.Captions); adapters.KindOf(err) != adapters.Invalid || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("a folder: %v", err)
	}
}
