package shards

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/record"
)

// item is a member of a tar that a test writes.
type item struct{ name, data string }

// pack returns a tar of members.
func pack(t testing.TB, items ...item) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, x := range items {
		if err := w.WriteHeader(&tar.Header{Name: x.name, Size: int64(len(x.data)), Mode: 0o444}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, x.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// file writes a file to a new folder.
func file(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func pngFile(t testing.TB) string {
	t.Helper()
	var out bytes.Buffer
	if err := png.Encode(&out, image.NewGray(image.Rect(0, 0, 2, 2))); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// show describes the parts of a record, with the sizes of its pictures.
func show(t testing.TB, rec record.Record) []string {
	t.Helper()
	var all []string
	for _, p := range rec.Parts {
		if p.Picture != nil {
			in, err := p.Picture.Open()
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(in)
			if err != nil || in.Close() != nil {
				t.Fatal(err)
			}
			all = append(all, fmt.Sprintf("picture %s of %d bytes", p.Picture.Name, len(data)))
			continue
		}
		text := string(p.Role)
		for _, x := range p.Texts {
			text += fmt.Sprintf(" %q×%g", x.Text, x.Weight)
		}
		if p.Target {
			text += " target"
		}
		all = append(all, text)
	}
	return all
}

func TestRecordsOfSamples(t *testing.T) {
	picture := pngFile(t)
	size := fmt.Sprintf("of %d bytes", len(picture))
	for name, c := range map[string]struct {
		items []item
		want  []string
	}{
		"text": {[]item{{"a.jpg", picture}, {"a.txt", "a dog"}}, []string{"picture a.jpg " + size, ` "a dog"×1 target`}},
		"json before text": {[]item{{"a.txt", "from the text"}, {"a.json", `{"caption": "from the json"}`}, {"a.png", picture}},
			[]string{"picture a.png " + size, ` "from the json"×1 target`}},
		"no caption in json": {[]item{{"a.txt", "from the text"}, {"a.json", `{"caption": null, "w": NaN}`}, {"a.png", picture}}, []string{"picture a.png " + size, ` "from the text"×1 target`}},
		"LAVIS's two":        {[]item{{"a.jpg", picture}, {"a.json", `["one", "two", "three"]`}}, []string{"picture a.jpg " + size, ` "one"×1 "two"×1 "three"×0 target`}},
		"unknown extension":  {[]item{{"a.img", picture}, {"a.txt", "x"}}, []string{"picture a.img " + size, ` "x"×1 target`}},
		"a part's picture":   {[]item{{"a.jpg", picture}, {"a.seg.png", picture}, {"a.txt", "x"}}, []string{"picture a.jpg " + size, ` "x"×1 target`}},
		"question":           {[]item{{"a.jpg", picture}, {"a.json", `{"question": "how many?", "answer": ["2", "two", "2"]}`}}, []string{"picture a.jpg " + size, `question "how many?"×1`, `answer "2"×2 "two"×1 target`}},
		"empty text":         {[]item{{"a.jpg", picture}, {"a.txt", ""}}, []string{"picture a.jpg " + size}},
		"text alone":         {[]item{{"a.txt", "no picture"}}, []string{` "no picture"×1 target`}},
		"byte order mark":    {[]item{{"a.jpg", picture}, {"a.txt", "\ufeffx"}}, []string{"picture a.jpg " + size, ` "x"×1 target`}},
		"OpenFlamingo's document": {[]item{{"a.json", `{"text_list": ["one", "two"], "image_info": [{"matched_text_index": 1, "image_name": "p", "image_base64": "aGFsbG8="}]}`}},
			[]string{` "one"×1 target`, "picture p of 5 bytes", ` "two"×1 target`}},
	} {
		rec, err := open(t, file(t, "x.tar", pack(t, c.items...))).Record(0)
		if got := show(t, rec); err != nil || !reflect.DeepEqual(got, c.want) || rec.Key != "a" {
			t.Errorf("%s: %q (%v), want %q", name, got, err, c.want)
		}
	}
}

func TestBadSamplesAreNamed(t *testing.T) {
	picture := pngFile(t)
	for want, items := range map[string][]item{
		`pictures "jpg" and "png"`:                            {{"a.jpg", picture}, {"a.png", picture}},
		`neither a picture nor a text; its members are "cls"`: {{"a.cls", "3"}},
		`"a.json" is no JSON`:                                 {{"a.jpg", picture}, {"a.json", `{"caption": `}},
		`"caption" is the number 3, want a text`:              {{"a.jpg", picture}, {"a.json", `{"caption": 3}`}},
		`"a.json": it has both a caption and a question`:      {{"a.jpg", picture}, {"a.json", `{"caption": "a dog", "question": "what?", "answer": "a dog"}`}},
		`"a.json" is the number 3`:                            {{"a.jpg", picture}, {"a.json", `3`}},
		`"a.txt" is not UTF-8 at its byte 3`:                  {{"a.jpg", picture}, {"a.txt", "caf\xe9"}},
		`half of a surrogate pair`:                            {{"a.jpg", picture}, {"a.json", `{"caption": "\ud83d"}`}},
		`want the number of one of 1 sentences`:               {{"a.json", `{"text_list": ["one"], "image_info": [{"matched_text_index": 1, "image_base64": "aGFsbG8="}]}`}},
		`has the picture's address, and not the p`:            {{"a.json", `{"text_list": ["one"], "image_info": [{"matched_text_index": 0, "raw_url": "http://x"}]}`}},
		`has an extension that webdataset keeps`:              {{"a.__key__", "x"}},
	} {
		path := file(t, "x.tar", pack(t, append(items, item{"good.txt", "x"})...))
		r := open(t, path)
		_, err := r.Record(0)
		var bad *record.BadRecord
		if !errors.As(err, &bad) || bad.File != path || bad.Key != "a" || bad.Offset != 0 || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		if rec, err := r.Record(1); err != nil || rec.Key != "good" {
			t.Errorf("%s: the sample behind it: %v", want, err)
		}
	}
}

// A shard that is cut off gives the samples before the cut; the rest is one bad record.
func TestShardsThatAreCutOff(t *testing.T) {
	picture := strings.Repeat(pngFile(t), 20)
	whole := pack(t, item{"a.jpg", picture}, item{"a.txt", "x"}, item{"b.jpg", picture}, item{"b.txt", "y"})
	r := open(t, file(t, "x.tar", whole))
	second := int(r.index.entry(&r.index.shards[0], 1).begin)
	for name, c := range map[string]struct {
		size int
		key  string
		want string
	}{
		"in a picture":           {second + block + 100, "b", `"b.jpg" is cut off`},
		"in a header":            {second + 100, "", "the file ends in the middle of a header"},
		"in the sample's text":   {len(whole) - 2*block - block, "b", `"b.txt" is cut off`},
		"in the sample's second": {len(whole) - 2*block - block - 100, "b", ""},
	} {
		r := open(t, file(t, "x.tar", whole[:c.size]))
		if rec, err := r.Record(0); err != nil || rec.Key != "a" {
			t.Errorf("%s: the sample before the cut: %v", name, err)
		}
		last := r.Len() - 1
		_, err := r.Record(last)
		var bad *record.BadRecord
		if !errors.As(err, &bad) || last < 1 || r.Bad() != 1 || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %d samples, %d bad, the last: %v; want %q", name, r.Len(), r.Bad(), err, c.want)
		}
	}
	damaged := bytes.Clone(whole)
	copy(damaged[second:], "no header at all")
	r = open(t, file(t, "x.tar", damaged))
	if _, err := r.Record(1); err == nil || !strings.Contains(err.Error(), "here is no tar header") || r.Len() != 2 {
		t.Errorf("a damaged header: %d samples, %v", r.Len(), err)
	}
}

func TestSourcesThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	good := file(t, "good.tar", pack(t, item{"a.txt", "x"}))
	for name, c := range map[string]struct {
		path string
		kind adapters.Kind
		want string
	}{
		"command":     {"pipe:cat x.tar", adapters.Unsupported, "run the command yourself"},
		"address":     {"https://example.com/{0..3}.tar", adapters.Unsupported, "download the shards"},
		"bucket":      {"s3://data/0.tar", adapters.Unsupported, "download the shards"},
		"file URL":    {"file:///data/0.tar", adapters.Unsupported, "write /data/0.tar"},
		"variable":    {"${DATA}/0.tar", adapters.Unsupported, "write the path itself"},
		"compressed":  {file(t, "x.tar.gz", []byte("x")), adapters.Unsupported, "gunzip"},
		"gzip inside": {file(t, "x.tar", []byte("\x1f\x8b\x08\x00rest")), adapters.Unsupported, "gunzip"},
		"empty":       {file(t, "x.tar", nil), adapters.Corrupt, "is empty (0 bytes)"},
		"no tar":      {file(t, "x.tar", bytes.Repeat([]byte("text"), 400)), adapters.Corrupt, "is no tar archive"},
		"folder":      {dir, adapters.Invalid, "want a tar shard"},
		"gone":        {filepath.Join(dir, "gone.tar"), adapters.NotFound, "gone.tar"},
		"no sample":   {file(t, "x.tar", pack(t, item{"README", "x"})), adapters.Invalid, "hold no sample"},
	} {
		files, err := Expand(c.path)
		if err == nil {
			_, err = Open(t.Context(), append([]string{good}, files...), Options{})
			if name == "no sample" {
				_, err = Open(t.Context(), files, Options{})
			}
		}
		if adapters.KindOf(err) != c.kind || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: got %v (%v), want kind %v and %q", name, err, adapters.KindOf(err), c.kind, c.want)
		}
	}
	if _, err := Expand("a.tar::"); err == nil {
		t.Error("an empty part beside :: is not refused")
	}
	if _, err := Expand("{000..9999999}.tar"); err == nil {
		t.Error("ten million files are not refused")
	}
}

func TestWarningsCountWhatIsPassedOver(t *testing.T) {
	warnings := strings.Join(open(t, copied(t, "names-gnu.tar")...).Warnings(), "\n")
	for _, want := range []string{"links in the shards, which webdataset passes over: 2", `another sample of the shard has: 2, the first "twice"`} {
		if !strings.Contains(warnings, want) {
			t.Errorf("warnings %q, want %q", warnings, want)
		}
	}
	joined := append(pack(t, item{"a.txt", "x"}), pack(t, item{"b.txt", "y"})...)
	r := open(t, file(t, "joined.tar", joined))
	if w := r.Warnings(); r.Len() != 1 || len(w) != 1 || !strings.Contains(w[0], "bytes follow the archive's end mark at byte 2048") {
		t.Errorf("archives that were joined: %d samples, warnings %q", r.Len(), w)
	}
}

// A PAX header belongs to the member behind it, so a shard that is cut off there is not whole.
func TestShardsThatAreCutOffBehindAnExtendedHeader(t *testing.T) {
	long := strings.Repeat("n", 150)
	whole := pack(t, item{"a.txt", "x"}, item{long + ".txt", "y"})
	extended := 2 * block // offset of the second member's PAX header, which has two blocks
	for _, cut := range []int{extended + 100, extended + block, extended + block + 170, extended + 2*block} {
		r := open(t, file(t, "x.tar", whole[:cut]))
		if r.Len() != 2 || r.Bad() != 1 {
			t.Fatalf("cut at %d: %d samples, %d bad, want 2 and 1", cut, r.Len(), r.Bad())
		}
		if _, err := r.Record(1); err == nil || !strings.Contains(err.Error(), "in the middle of a header") {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
}

// A shard that is cut off between two members looks whole, except that it lacks tar's end mark.
func TestShardWithoutEndMarkIsWarnedOf(t *testing.T) {
	whole := pack(t, item{"a.txt", "x"}, item{"b.txt", "y"})
	path := file(t, "x.tar", whole[:4*block])
	for range 2 { // the scan, and then its index
		r := open(t, path)
		if w := r.Warnings(); r.Len() != 2 || r.Bad() != 0 || len(w) != 1 ||
			!strings.Contains(w[0], "without tar's end mark, so samples may be missing: 1, the first "+path) {
			t.Errorf("%d samples, %d bad, warnings %q", r.Len(), r.Bad(), w)
		}
	}
	if w := open(t, file(t, "whole.tar", whole)).Warnings(); len(w) > 0 {
		t.Errorf("a whole shard: warnings %q", w)
	}
}

func TestCountsAreComparedWithImg2datasets(t *testing.T) {
	path := file(t, "00000.tar", pack(t, item{"a.txt", "x"}, item{"b.txt", "y"}))
	stats := strings.TrimSuffix(path, ".tar") + "_stats.json"
	for text, want := range map[string]string{
		`{"successes": 2}`: "",
		`{"successes": 3}`: "has 2 samples, want 3",
		`{"other": 3}`:     "",
	} {
		if err := os.WriteFile(stats, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		w := open(t, path).Warnings()
		if want == "" && len(w) > 0 || want != "" && (len(w) != 1 || !strings.Contains(w[0], want)) {
			t.Errorf("%s: warnings %q, want %q", text, w, want)
		}
	}
}

// The reader of records opens shards when they are read, so one that vanishes makes bad records.
func TestShardsThatVanish(t *testing.T) {
	paths := []string{file(t, "0.tar", pack(t, item{"a.txt", "x"})), file(t, "1.tar", pack(t, item{"b.txt", "y"}))}
	r := open(t, paths...)
	if err := os.Remove(paths[1]); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Record(0); err != nil {
		t.Error(err)
	}
	_, err := r.Record(1)
	var bad *record.BadRecord
	if !errors.As(err, &bad) || !errors.Is(err, os.ErrNotExist) || bad.File != paths[1] {
		t.Errorf("got %v, want a bad record of %s", err, paths[1])
	}
	_, err = Open(t.Context(), paths, Options{})
	if adapters.KindOf(err) != adapters.NotFound || !strings.Contains(err.Error(), "1.tar") {
		t.Errorf("opened again: %v", err)
	}
}

// A shard that is replaced while it is open is not read at old offsets.
func TestShardsThatChange(t *testing.T) {
	path := file(t, "0.tar", pack(t, item{"a.txt", "x"}, item{"b.txt", "y"}))
	r := open(t, path)
	if err := os.WriteFile(path, pack(t, item{"c.txt", "x"}, item{"b.txt", "yy"}, item{"d.txt", ""}), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Record(0); err == nil || !strings.Contains(err.Error(), "has changed since its index was made") {
		t.Errorf("got %v", err)
	}
	if err := os.Chtimes(path, time.Now(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if r := open(t, path); r.Len() != 3 {
		t.Errorf("%d samples after it was opened again, want 3", r.Len())
	}
}
