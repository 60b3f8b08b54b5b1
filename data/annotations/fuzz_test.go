package annotations_test

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/data/annotations"
)

// Whatever a file holds, it is read as encoding/json and Python read it, or refused with a
// message that names it.
func FuzzReader(f *testing.F) {
	for _, text := range []string{small, `{"image": "1.jpg", "caption": []}` + "\n", "\ufeff[]", `[{"image": "\ud83d\udc36"}]`, `{"images": [], "annotations": [{}]}`, "a,b\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		entries, errs, _ := read(t, text, annotations.Captions)
		if len(errs) > 0 {
			return
		}
		want, err := decode(strings.TrimPrefix(text, "\ufeff"))
		switch {
		case err != nil && (strings.Contains(text, "NaN") || strings.Contains(text, "Infinity")):
			return // in a key that is ignored
		case err != nil:
			t.Fatalf("%q is read, and is not JSON: %v", text, err)
		}
		if len(want) != len(entries) {
			t.Fatalf("%d entries of %d: %q", len(entries), len(want), text)
		}
		for i, w := range want {
			for key, got := range map[string]any{"image": entries[i].Image, "caption": entries[i].Captions, "question": entries[i].Question, "answer": entries[i].Answers} {
				if v, ok := w[key]; ok && !reflect.DeepEqual(texts(v), texts(got)) {
					t.Errorf("entry %d: %s is %q, want %q", i, key, got, v)
				}
			}
		}
	})
}

// decode reads a list or JSON lines with encoding/json.
func decode(text string) (all []map[string]any, err error) {
	if strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "[") {
		err = json.Unmarshal([]byte(text), &all)
		return all, err
	}
	for decoder := json.NewDecoder(strings.NewReader(text)); ; {
		var one map[string]any
		if err := decoder.Decode(&one); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
}

// texts returns a text or a list of texts as a list.
func texts(v any) []string {
	list := []string{}
	switch v := v.(type) {
	case string:
		list = append(list, v)
	case []string:
		list = append(list, v...)
	case []any:
		for _, item := range v {
			list = append(list, fmt.Sprint(item))
		}
	}
	return list
}

// endless gives the same entry again and again.
type endless struct {
	entry string
	at    int
	left  int
}

func (e *endless) Read(p []byte) (int, error) {
	n := min(len(p), e.left)
	if n == 0 {
		return 0, io.EOF
	}
	for i := range n {
		p[i] = e.entry[e.at]
		e.at = (e.at + 1) % len(e.entry)
	}
	e.left -= n
	return n, nil
}

// Memory does not grow with the file, nor with the values that are ignored: a file of 16 MB,
// with pictures of 1 MB in base64, is read with less than a picture's memory.
func TestReaderKeepsNothing(t *testing.T) {
	entry := `{"image": "1.jpg", "caption": "a dog", "picture": "` + strings.Repeat("a", 1<<20) + `", "more": [` + strings.Repeat("1,", 1000) + "1]}\n"
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := annotations.NewReader(&endless{entry: entry, left: 16 * len(entry)}, "mine.json", annotations.Captions)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; ; n++ {
		if _, err := r.Next(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; n != 16 || used > 1<<20 {
		t.Errorf("read %d entries with %d bytes of memory", n, used)
	}
}
