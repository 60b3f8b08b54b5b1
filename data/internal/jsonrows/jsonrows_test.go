package jsonrows

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func file(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.json")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// texts returns the bytes of rows.
func texts(t testing.TB, f *File, rows []Row) []string {
	t.Helper()
	var all []string
	for _, r := range rows {
		data, err := f.Read(r)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(data))
	}
	return all
}

func TestRows(t *testing.T) {
	for text, c := range map[string]struct {
		list bool
		rows []string
	}{
		`[1, "a,]", {"b": [2, "\"}"]}, [], null]`: {true, []string{`1`, `"a,]"`, `{"b": [2, "\"}"]}`, `[]`, `null`}},
		"\ufeff \n[]":                       {true, nil},
		"{\"a\": 1}\n{\"b\": \"\\\\\"}\r\n": {false, []string{`{"a": 1}`, `{"b": "\\"}`}},
		`[NaN, -Infinity , 1e5]`:            {true, []string{`NaN`, `-Infinity`, `1e5`}},
	} {
		f, err := Open(file(t, text))
		if err != nil {
			t.Fatal(err)
		}
		if got := texts(t, f, f.Rows); f.List != c.list || !reflect.DeepEqual(got, c.rows) {
			t.Errorf("%s: list %v, rows %q, want %v, %q", text, f.List, got, c.list, c.rows)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestMembersAndPlaces(t *testing.T) {
	f, err := Open(file(t, "{\n \"images\": [{\"id\": 1},\n  {\"id\": 2}], \"caf\\u00e9\": {\"x\": [3]},\n \"empty\": []}"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	images, nested, empty := f.Member("images"), f.Member("café"), f.Member("empty")
	if images == nil || nested == nil || empty == nil || nested.Items != nil || empty.Items == nil || f.Member("x") != nil {
		t.Fatalf("members %+v", f.Members)
	}
	if got := texts(t, f, images.Items); !reflect.DeepEqual(got, []string{`{"id": 1}`, `{"id": 2}`}) || images.Items[1].Line != 3 {
		t.Errorf("items %q, the second on line %d", got, images.Items[1].Line)
	}
	inside, err := f.Inside(nested.Value, "x")
	if err != nil || !reflect.DeepEqual(texts(t, f, inside), []string{"3"}) {
		t.Errorf("inside %v: %v", inside, err)
	}
	if none, err := f.Inside(nested.Value, "y"); err != nil || none != nil {
		t.Errorf("%v %v", none, err)
	}
}

// The buffer ends anywhere: in a text, an escape, a number.
func TestRowsAcrossBuffers(t *testing.T) {
	text := `[{"a": "` + strings.Repeat(`x\"`, 50) + `"}, 12345, {"b": [1, 2, {"c": "\\"}]}]`
	for size := 1; size < 40; size++ {
		s := &scanner{in: strings.NewReader(text), buf: make([]byte, size), line: 1}
		var sizes []int32
		if err := s.items(func(r Row) { sizes = append(sizes, r.Size) }); err != nil || !reflect.DeepEqual(sizes, []int32{159, 5, 26}) {
			t.Fatalf("a buffer of %d: %v (%v)", size, sizes, err)
		}
	}
}

func TestPeekReadsNoMoreThanItNeeds(t *testing.T) {
	h, err := Peek(file(t, `[{"a": 1}, this is no JSON`), json.Valid)
	if err != nil || !h.List || string(h.First) != `{"a": 1}` {
		t.Errorf("%+v %v", h, err)
	}
	h, err = Peek(file(t, "{\"a\": [7, 8]}\n{\"b\": 2}\n"), json.Valid)
	if err != nil || h.Members != nil || string(h.First) != `{"a": [7, 8]}` {
		t.Errorf("%+v %v", h, err)
	}
	h, err = Peek(file(t, `{"a": [7, 8], "b": {"c": 2}, "d": []}`), json.Valid)
	if err != nil || len(h.Members) != 3 || string(h.Members[0].First) != "7" || !h.Members[0].List || string(h.Members[1].First) != `{"c": 2}` || h.Members[2].First != nil {
		t.Errorf("%+v %v", h, err)
	}
}

// A layout is told by the first sound row, because the first may be damaged.
func TestPeekPassesOverDamagedRows(t *testing.T) {
	for text, want := range map[string]string{
		`[{"a" 1}, {"b": 2}, {"c": 3}]`: `{"b": 2}`,
		"{\"a\": tru}\n{\"b\": 2}\n":    `{"b": 2}`,
		`[{"a" 1}, {"b" 2}]`:            `{"a" 1}`,
	} {
		if h, err := Peek(file(t, text), json.Valid); err != nil || string(h.First) != want {
			t.Errorf("%q: %+v (%v), want %q", text, h, err, want)
		}
	}
	path := filepath.Join(t.TempDir(), "x.jsonl")
	if err := os.WriteFile(path, []byte("{\"a\": \n{\"b\": 2}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if h, err := Peek(path, json.Valid); err != nil || string(h.First) != `{"b": 2}` {
		t.Errorf("a first line that is cut: %+v (%v)", h, err)
	}
}

// FuzzRows compares rows with those of encoding/json for lists that it reads. Nothing panics.
func FuzzRows(f *testing.F) {
	for _, text := range []string{`[1, "a", {"b": [2]}]`, `{"a": [1], "b": {}}`, "{}\n{}", `[[[]], "\\\"", -1.5e3, true]`, `["\u00e9", ""]`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := &scanner{in: bytes.NewReader(data), path: "x", buf: make([]byte, 7), line: 1}
		x := &File{Path: "x"}
		err := x.scan(s)
		var list []json.RawMessage
		if json.Unmarshal(data, &list) != nil || list == nil {
			return
		}
		if err != nil || !x.List || len(x.Rows) != len(list) {
			t.Fatalf("%q: %d rows (%v), encoding/json has %d", data, len(x.Rows), err, len(list))
		}
		for i, r := range x.Rows {
			if got := data[r.Offset : r.Offset+int64(r.Size)]; !bytes.Equal(got, list[i]) {
				t.Fatalf("%q: row %d is %q, encoding/json has %q", data, i, got, list[i])
			}
		}
	})
}

// Every line of JSON lines is a row whatever it holds. A first line that is cut can be told from an
// object of several lines by the name of the file alone.
func TestDamagedLinesAreRows(t *testing.T) {
	for _, c := range []struct {
		name, text string
		rows       []string
		line       int32 // of the last
	}{
		{"x.json", "{\"a\": 1}\n{\"b\": 2\n\n{\"c\": 3} \r\n", []string{`{"a": 1}`, `{"b": 2`, `{"c": 3}`}, 4},
		{"x.json", "{\"a\": 1}\n{\"b\": \"x}\n{}\n", []string{`{"a": 1}`, `{"b": "x}`, `{}`}, 3},
		{"x.json", "{\"a\": 1}\n{\"b\": 2", []string{`{"a": 1}`, `{"b": 2`}, 2},
		{"x.json", "{\"a\": 1}\n[1, 2]\nword {\n", []string{`{"a": 1}`, `[1, 2]`, `word {`}, 3},
		{"x.jsonl", "\ufeff{\"a\": \"\n{\"b\": 2}\n", []string{`{"a": "`, `{"b": 2}`}, 2},
		{"x.jsonl", "{\"a\": 1} more\n{\"b\": 2}\n", []string{`{"a": 1} more`, `{"b": 2}`}, 2},
		{"x.jsonl", "word\n{\"b\": 2}\n", []string{`word`, `{"b": 2}`}, 2},
		{"x.jsonl", "[1]\n{\"b\": 2}\n", []string{`[1]`, `{"b": 2}`}, 2},
		{"x.json", "{\n}\n{\"b\":\n2}\n", []string{"{\n}", "{\"b\":\n2}"}, 3},
	} {
		path := filepath.Join(t.TempDir(), c.name)
		if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := Open(path)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if got := texts(t, f, f.Rows); f.List || !reflect.DeepEqual(got, c.rows) || f.Rows[len(f.Rows)-1].Line != c.line {
			t.Errorf("%q: rows %q, the last on line %d, want %q, %d", c.text, got, f.Rows[len(f.Rows)-1].Line, c.rows, c.line)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The buffer ends anywhere in a line.
func TestLinesAcrossBuffers(t *testing.T) {
	text := "{\"a\": 1}\n{\"b\": 2 \t \n  \n  {\"c\"} \r\n x"
	for size := 1; size < 30; size++ {
		s := &scanner{in: strings.NewReader(text), buf: make([]byte, size), line: 1}
		var rows []string
		if err := s.lines(func(r Row) error { rows = append(rows, text[r.Offset:r.Offset+int64(r.Size)]); return nil }); err != nil ||
			!reflect.DeepEqual(rows, []string{`{"a": 1}`, `{"b": 2`, `{"c"}`, `x`}) {
			t.Fatalf("a buffer of %d: %q (%v)", size, rows, err)
		}
	}
}

// Of objects of several lines, a missing bracket makes all lines behind it part of one value, so the
// end of the file is the wrong place to look at.
func TestObjectWithoutItsEndIsNamed(t *testing.T) {
	for text, want := range map[string]string{
		"{\n\"a\": 1}\n{\"b\": 2\n\n{\"c\": 3}\n": "the value that begins on line 3, byte 10 has no end: the file ends at byte 28 (line 6)",
		"{\"a\": 1": "is cut off: it ends at byte 7 (line 1)",
	} {
		if _, err := Open(file(t, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	path := filepath.Join(t.TempDir(), "x.jsonl")
	if err := os.WriteFile(path, []byte("{\n\"a\": 1,\n\"b\":\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("an object of several lines that is cut off: %v", err)
	}
}
