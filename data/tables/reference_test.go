package tables_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/record"
	"github.com/modular-bridging/bridge/data/tables"
)

// row is a row as datasets or pyarrow read it, with digests of bytes.
type row map[string]any

func expectations(t *testing.T) map[string][]row {
	t.Helper()
	data, err := os.ReadFile("testdata/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string][]row
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func open(t *testing.T, paths ...string) *tables.Reader {
	t.Helper()
	r, err := tables.Open(paths, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// digest returns the digest of a picture's bytes, as the expectations have it.
func digest(t *testing.T, p *record.Picture) string {
	t.Helper()
	in, err := p.Open()
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(in)
	if err != nil || in.Close() != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:8])
}

// show describes the parts of a record.
func show(t *testing.T, rec record.Record) []string {
	t.Helper()
	var all []string
	for _, p := range rec.Parts {
		if p.Picture != nil {
			all = append(all, digest(t, p.Picture))
			continue
		}
		text := fmt.Sprintf("%s target=%v:", p.Role, p.Target)
		for _, x := range p.Texts {
			text += fmt.Sprintf(" %q×%g", x.Text, x.Weight)
		}
		all = append(all, text)
	}
	return all
}

func pictureOf(v any) string {
	image, _ := v.(map[string]any)
	data, _ := image["bytes"].(string)
	return data
}

func texts(v any) []string {
	var all []string
	list, _ := v.([]any)
	if one, ok := v.(string); ok {
		list = []any{one}
	}
	for _, item := range list {
		all = append(all, item.(string))
	}
	return all
}

// captions describes the part that captions make; nil if none is left.
func captions(given []string) []string {
	all := ""
	for _, c := range given {
		if strings.TrimSpace(c) != "" {
			all += fmt.Sprintf(" %q×1", c)
		}
	}
	if all == "" {
		return nil
	}
	return []string{" target=true:" + all}
}

// Every setting of pyarrow's writer is read as pyarrow reads it, in the file's order and in
// another.
func TestPyarrowsFilesAreReadAsPyarrowReadsThem(t *testing.T) {
	want := expectations(t)["legacy"]
	files, err := filepath.Glob("testdata/legacy-*.parquet")
	if err != nil || len(files) != 12 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if file == "testdata/legacy-lz4.parquet" {
			continue // refused: see TestColumnsCompressedByLZ4AreRefused
		}
		r := open(t, file)
		if r.Len() != len(want) {
			t.Fatalf("%s: %d rows, pyarrow reads %d", file, r.Len(), len(want))
		}
		order := rand.New(rand.NewPCG(1, 2)).Perm(len(want))
		for i := range want {
			order = append(order, i)
		}
		for _, i := range order {
			rec, err := r.Record(i)
			if err != nil {
				t.Fatalf("%s: row %d: %v", file, i, err)
			}
			picture := pictureOf(want[i]["image"])
			if picture == "" { // a path without bytes: the file beside
				picture = "sha256:" + fileDigest(t, "testdata/5.png")
			}
			expected := append([]string{picture}, captions(texts(want[i]["caption"]))...)
			if got := show(t, rec); !reflect.DeepEqual(got, expected) || rec.Key != fmt.Sprint(i) {
				t.Errorf("%s: row %d (%s) is %q, pyarrow reads %q", file, i, rec.Key, got, expected)
			}
		}
		if w := r.Warnings(); len(w) != 1 || !strings.Contains(w[0], "captions") {
			t.Errorf("%s: warnings %q, want one about the column captions", file, w)
		}
	}
}

func TestHubFilesAreReadAsDatasetsReadsThem(t *testing.T) {
	all := expectations(t)
	const captionsFile = "hub-captions.parquet"
	r := open(t, "testdata/"+captionsFile)
	for i, want := range all[captionsFile] {
		rec, err := r.Record(i)
		expected := append([]string{pictureOf(want["image"])}, captions(texts(want["caption"]))...)
		if got := show(t, rec); err != nil || !reflect.DeepEqual(got, expected) || rec.Group != fmt.Sprint(want["image_id"]) {
			t.Errorf("row %d is %q of %q (%v), datasets reads %v", i, got, rec.Group, err, want)
		}
	}
	if r.Len() != 10 || len(all[captionsFile]) != 10 {
		t.Errorf("%d rows, want 10", r.Len())
	}
	pictures := func(name string, row int, column string) []string {
		var found []string
		list, _ := all[name][row][column].([]any)
		for _, v := range list {
			if v != nil {
				found = append(found, pictureOf(v))
			}
		}
		return found
	}
	documents := pictures("hub-documents.parquet", 0, "images")
	turns := pictures("hub-turns.parquet", 0, "images")
	for _, c := range []struct {
		name string
		row  int
		key  string
		want []string
	}{
		{"hub-nulls.parquet", 0, "0", []string{pictureOf(all["hub-nulls.parquet"][0]["image"]), ` target=true: "has its picture"×1`}},
		{"hub-nulls.parquet", 2, "2", []string{pictureOf(all["hub-nulls.parquet"][2]["image"])}},
		{"hub-nulls.parquet", 3, "3", []string{pictureOf(all["hub-nulls.parquet"][3]["image"])}},
		{"hub-vqa.parquet", 1, "1", []string{pictureOf(all["hub-vqa.parquet"][1]["image"]), `question target=false: "question 1?"×1`, `answer target=true: "yes"×2 "no"×1`}},
		{"hub-chat.parquet", 0, "x1", []string{pictureOf(all["hub-chat.parquet"][0]["image"]), `question target=false: "What is it?"×1`, `answer target=true: "A dog."×1`}},
		{"hub-chat.parquet", 1, "x2", []string{`question target=false: "Hello."×1`, `answer target=true: "Hi."×1`, `question target=false: "Bye."×1`, `answer target=true: "Bye!"×1`}},
		{"hub-turns.parquet", 0, "0", []string{turns[0], turns[1], `question target=false: "Which is red?"×1`, `answer target=true: "The first."×1`,
			`question target=false: "And blue?"×1`, `answer target=true: "Neither."×1`}},
		{"hub-documents.parquet", 0, "0", []string{` target=true: "A text."×1`, documents[0], ` target=true: "Another."×1`, documents[1]}},
	} {
		rec, err := open(t, "testdata/"+c.name).Record(c.row)
		if got := show(t, rec); err != nil || rec.Key != c.key || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: row %d is %q %q (%v), want %q %q", c.name, c.row, rec.Key, got, err, c.key, c.want)
		}
	}
}

func TestBadRowsAreNamed(t *testing.T) {
	for _, c := range []struct {
		file string
		row  int
		key  string
		want string
	}{
		{"hub-nulls.parquet", 1, "", `picture 0 of "image" is null`},
		{"hub-documents.parquet", 2, "", "the document has neither a text nor a picture"},
		{"hub-chat.parquet", 2, "x3", "1 tags <image>, and the row has 0 pictures"},
	} {
		_, err := open(t, "testdata/"+c.file).Record(c.row)
		var bad *record.BadRecord
		if !errors.As(err, &bad) || bad.Row != c.row || bad.Key != c.key || !strings.Contains(err.Error(), c.want) || !strings.Contains(bad.File, c.file) {
			t.Errorf("%s: got %v, want %q", c.file, err, c.want)
		}
	}
}

// A column of texts named image or images names files.
func TestPicturesThatAreNamed(t *testing.T) {
	five := "sha256:" + fileDigest(t, "testdata/5.png")
	captions, documents := open(t, "testdata/named-captions.parquet"), open(t, "testdata/named-obelics.parquet")
	rec, err := captions.Record(0)
	if got := show(t, rec); err != nil || !reflect.DeepEqual(got, []string{five, ` target=true: "a dog"×1`}) {
		t.Errorf("%q (%v)", got, err)
	}
	if rec, err = documents.Record(0); err != nil || !reflect.DeepEqual(show(t, rec), []string{five, ` target=true: "a dog"×1`}) {
		t.Errorf("%q (%v)", show(t, rec), err)
	}
	for want, r := range map[string]*tables.Reader{`picture 0 of "image" is null`: captions, "leaves the folder of pictures": documents} {
		var bad *record.BadRecord
		if _, err := r.Record(1); !errors.As(err, &bad) || bad.Why != record.MissingPicture || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func fileDigest(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// Several goroutines read one file.
func TestRowsAreReadFromSeveralGoroutines(t *testing.T) {
	r := open(t, "testdata/legacy-index.parquet")
	var want []string
	for i := range r.Len() {
		rec, err := r.Record(i)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprint(show(t, rec)))
	}
	var readers sync.WaitGroup
	for k := range 8 {
		readers.Go(func() {
			for j := range r.Len() {
				i := (j*17 + k*7) % r.Len()
				rec, err := r.Record(i)
				if got := fmt.Sprint(show(t, rec)); err != nil || got != want[i] {
					t.Errorf("row %d is %s (%v), want %s", i, got, err, want[i])
				}
			}
		})
	}
	readers.Wait()
}

func TestFilesWithoutPicturesAreRefused(t *testing.T) {
	whole, err := os.ReadFile("testdata/legacy-plain.parquet")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cut, text := filepath.Join(dir, "cut.parquet"), filepath.Join(dir, "text.parquet")
	if err := errors.Join(os.WriteFile(cut, whole[:len(whole)-100], 0o644), os.WriteFile(text, []byte("no parquet"), 0o644)); err != nil {
		t.Fatal(err)
	}
	for file, c := range map[string]struct {
		kind adapters.Kind
		want string
	}{
		"testdata/refused-urls.parquet":    {adapters.Unsupported, "download them with img2dataset"},
		"testdata/refused-obelics.parquet": {adapters.Unsupported, "download them with img2dataset"},
		"testdata/refused-two.parquet":     {adapters.Invalid, `"left" and "right"`},
		"testdata/gone.parquet":            {adapters.NotFound, "gone.parquet"},
		cut:                                {adapters.Corrupt, "cannot be read as a parquet file"},
		text:                               {adapters.Corrupt, "cannot be read as a parquet file"},
		dir:                                {adapters.Corrupt, "it is a folder"},
	} {
		_, err := tables.Open([]string{file}, "")
		if adapters.KindOf(err) != c.kind || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: got %v (%v), want kind %v and %q", file, err, adapters.KindOf(err), c.kind, c.want)
		}
	}
}
