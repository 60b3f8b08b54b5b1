package formats_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/formats"
	"github.com/modular-bridging/bridge/data/internal/recordtest"
	"github.com/modular-bridging/bridge/data/record"
)

func open(t *testing.T, s formats.Source) record.Reader {
	t.Helper()
	r, err := formats.Open(t.Context(), s, formats.Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	recordtest.Close(t, r)
	return r
}

// copied copies testdata, so that an index can be written beside it.
func copied(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(filepath.Join("testdata", dir))); err != nil {
		t.Fatal(err)
	}
	return to
}

// downloaded is a sample of img2dataset as webdataset, pyarrow or the files give it.
type downloaded struct {
	JPG     string
	Txt     *string
	Caption *string
	Status  string
}

// digest returns the digest of a record's picture.
func digest(t *testing.T, rec record.Record) string {
	t.Helper()
	if len(rec.Pictures()) != 1 {
		t.Fatalf("%s has %d pictures", rec.Key, len(rec.Pictures()))
	}
	in, err := rec.Pictures()[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(in)
	if err != nil || in.Close() != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// img2dataset's three outputs are read as webdataset, pyarrow and plain files give them: the same
// six pictures. The two addresses that failed are bad records where the output has rows for them.
func TestOutputsOfImg2dataset(t *testing.T) {
	text, err := os.ReadFile("testdata/img2dataset/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var expected map[string]map[string]downloaded
	if err := json.Unmarshal(text, &expected); err != nil {
		t.Fatal(err)
	}
	dir := copied(t, "img2dataset")
	for output, c := range map[string]struct {
		files  string
		format string
		rows   int
	}{
		"webdataset": {dir + "/webdataset/{00000..00001}.tar", "webdataset", 6},
		"files":      {dir + "/files", "img2dataset", 6},
		"parquet":    {dir + "/parquet/{00000..00001}.parquet", "parquet", 8},
	} {
		r := open(t, formats.Source{Files: []string{c.files}})
		want := expected[output]
		if r.Format() != c.format || r.Len() != c.rows || len(want) != c.rows || len(r.Warnings()) != 0 {
			t.Fatalf("%s: format %q, %d records, warnings %q; want %q, %d", output, r.Format(), r.Len(), r.Warnings(), c.format, c.rows)
		}
		seen := map[string]bool{}
		for i := range r.Len() {
			rec, err := r.Record(i)
			if err != nil {
				bad, ok := err.(*record.BadRecord)
				if !ok || want[bad.Key].JPG != "" || !strings.Contains(err.Error(), want[bad.Key].Status) {
					t.Errorf("%s: record %d: %v", output, i, err)
				} else {
					seen[bad.Key] = true
				}
				continue
			}
			seen[rec.Key] = true
			w, ok := want[rec.Key]
			caption := w.Txt
			if caption == nil {
				caption = w.Caption
			}
			parts := ""
			if ok && *caption != "" {
				parts = fmt.Sprintf(" %q!", *caption)
			}
			if shown := recordtest.Show(rec); !ok || digest(t, rec) != w.JPG || !strings.HasSuffix(shown, ">"+parts) {
				t.Errorf("%s: %s, want the picture %s and %q", output, shown, w.JPG, parts)
			}
		}
		if len(seen) != c.rows {
			t.Errorf("%s: the keys are %v", output, seen)
		}
	}
}

func TestCountsOfImg2datasetAreChecked(t *testing.T) {
	dir := copied(t, "img2dataset")
	for _, name := range []string{"webdataset/00000_stats.json", "webdataset/00001_stats.json"} { // the parquet files are left
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(dir+"/webdataset/00000.tar", dir+"/webdataset/x.tar"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir+"/webdataset/00001.tar", dir+"/webdataset/00000.tar"); err != nil {
		t.Fatal(err)
	}
	r := open(t, formats.Source{Files: []string{dir + "/webdataset/00000.tar"}})
	for _, ext := range []string{"jpg", "txt", "json"} {
		if err := os.Remove(dir + "/files/00000/000000." + ext); err != nil {
			t.Fatal(err)
		}
	}
	f := open(t, formats.Source{Files: []string{dir + "/files"}})
	for want, r := range map[string]record.Reader{"has 2 samples, want 4": r, "has 3 samples, and img2dataset noted 4": f} {
		if w := r.Warnings(); len(w) != 1 || !strings.Contains(w[0], want) {
			t.Errorf("warnings %q, want %q", w, want)
		}
	}
}

func TestDetect(t *testing.T) {
	shards := "../shards/testdata/"
	for want, path := range map[string]string{
		"webdataset":  shards + "plain-000000.tar",
		"parquet":     "../tables/testdata/hub-chat.parquet",
		"img2dataset": "testdata/img2dataset/files",
	} {
		if got, err := formats.Detect(path); err != nil || got != want {
			t.Errorf("%s: %q (%v), want %q", path, got, err, want)
		}
	}
	if got, err := formats.Detect(shards + "names-pax.tar"); err != nil || got != "webdataset" {
		t.Errorf("a tar of another kind: %q (%v)", got, err)
	}
	for _, c := range []struct{ name, text, want string }{
		{"a.json", `[{"image": "1.jpg", "caption": "x"}]`, "lavis"},
		{"a.json", `{"id1": {"image": "1.jpg", "caption": "x"}}`, "lavis"},
		{"a.jsonl", `{"image": "1.jpg", "question": "x", "answer": "y"}` + "\n{}", "lavis"},
		{"a.jsonl", `{"image": "1.jpg", "caption": "one line"}`, "lavis"},
		{"a.csv", "image,caption\n", "csv"},
		{"a.TSV", "image\tcaption\n", "csv"},
		{"a.json", "\ufeff \n" + `[{"id": 1, "conversations": []}]`, "llava"},
		{"a.jsonl", `{"id": 1, "conversations": []}`, "llava"},
		{"a.jsonl", `{"text_list": [], "image_info": []}` + "\n", "mmc4"},
		{"a.jsonl", `{"images": [null], "texts": ["x"], "metadata": ""}` + "\n{}", "obelics"},
		{"a.json", `{"info": {}, "images": [{"id": 1, "file_name": "1.jpg"}], "annotations": []}`, "coco"},
		{"a.json", `{"images": [{"filename": "1.jpg", "sentences": [], "split": "train"}], "dataset": "coco"}`, "karpathy"},
		{"a.json", `{"info": {}, "questions": [{"question_id": 1}]}`, "vqav2"},
		{"a.json", `{"annotations": [{"question_id": 1}]}`, "vqav2"},
		{"a.json", `{"data": [{"caption_str": "x"}]}`, "textcaps"},
		{"a.json", `{"data": [{"question": "x"}]}`, "textvqa"},
		{"a.json", `{"07": {"imageId": "1", "question": "x"}}`, "gqa"},
		{"a.json", `[{"image_id": 1, "question": "x", "choices": []}]`, "aokvqa"},
		{"a.json", `[{"image": "VizWiz_test_0.jpg", "question": "x"}]`, "vizwiz"},
		{"a.json", `[{"image": "0.jpg", "question": "x", "answers": []}]`, "vizwiz"},
		{"a.json", `[{"id": 1, "regions": []}]`, "visual-genome"},
		{"a.json", `[{"id": 1, "qas": []}]`, "visual-genome"},
		{"a.token", "1.jpg#0\tA dog .\n", "flickr30k"},
	} {
		path := recordtest.File(t, c.name, c.text)
		if got, err := formats.Detect(path); err != nil || got != c.want {
			t.Errorf("%s: %q (%v), want %q", c.text, got, err, c.want)
		}
	}
}

func TestFilesOfNoFormatAreNamed(t *testing.T) {
	tars := t.TempDir()
	if err := os.WriteFile(filepath.Join(tars, "0.tar"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path, want string
		kind       adapters.Kind
	}{
		{recordtest.File(t, "a.bin", "\x1f\x8b\x08"), "is compressed with gzip, which is none of the formats", adapters.Unsupported},
		{recordtest.File(t, "a.zip", "PK\x03\x04"), "a ZIP archive", adapters.Unsupported},
		{recordtest.File(t, "a.arrow", "ARROW1\x00\x00"), "to_parquet", adapters.Unsupported},
		{recordtest.File(t, "a.json", "[\x00{\x00}\x00]\x00"), "is written in UTF-16LE", adapters.Unsupported},
		{recordtest.File(t, "a.txt", "caption\tcaption 2\n"), "name it .csv or .tsv", adapters.Unsupported},
		{recordtest.File(t, "a.txt", "hello"), `it begins with "hello"`, adapters.Unsupported},
		{recordtest.File(t, "a.json", `[{"url": "http://x", "caption": "x"}]`), `has the keys "caption", "url" (it has the pictures' addresses`, adapters.Unsupported},
		{recordtest.File(t, "a.json", `[{"messages": []}]`), `has the keys "messages"`, adapters.Unsupported},
		{recordtest.File(t, "a.json", `{"version": 1}`), `the file has the keys "version"`, adapters.Unsupported},
		{recordtest.File(t, "a.json", ` [ ] `), "is an empty list", adapters.Invalid},
		{recordtest.File(t, "a.json", `[3]`), "the first row is the number 3", adapters.Invalid},
		{recordtest.File(t, "a.json", `[{"image": `), "is cut off", adapters.Corrupt},
		{recordtest.File(t, "a.json", ``), "is empty (0 bytes)", adapters.Corrupt},
		{tars, "is a folder with .tar files, want the files", adapters.Invalid},
		{t.TempDir(), "holds no sample", adapters.Invalid},
		{filepath.Join(tars, "gone"), "no such file", adapters.NotFound},
	} {
		_, err := formats.Open(t.Context(), formats.Source{Files: []string{c.path}}, formats.Options{})
		if adapters.KindOf(err) != c.kind || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: got %v (%v), want kind %v and %q", c.path, err, adapters.KindOf(err), c.kind, c.want)
		}
	}
	one, two := recordtest.File(t, "a.json", `[{"image": "1.jpg", "caption": "x"}]`), recordtest.File(t, "b.json", `[{"conversations": []}]`)
	_, err := formats.Open(t.Context(), formats.Source{Files: []string{one, two}}, formats.Options{})
	if err == nil || !strings.Contains(err.Error(), "make a mixture of two sources") {
		t.Errorf("two formats: %v", err)
	}
	_, err = formats.Open(t.Context(), formats.Source{Files: []string{one}, Format: "mystery"}, formats.Options{})
	if err == nil || !strings.Contains(err.Error(), "want one of aokvqa, coco, csv") {
		t.Errorf("an unknown format: %v", err)
	}
}

// Files that name pictures look for them beside themselves, unless a folder is given.
func TestFolderOfPictures(t *testing.T) {
	path := recordtest.File(t, "a.json", `[{"image": "1.jpg", "caption": "x"}]`)
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "1.jpg"), []byte("here"), 0o644); err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	for images, want := range map[string]bool{"": true, other: false} {
		rec, err := open(t, formats.Source{Files: []string{path}, Images: images}).Record(0)
		if err != nil {
			t.Fatal(err)
		}
		in, err := rec.Pictures()[0].Open()
		if (err == nil) != want {
			t.Errorf("images %q: %v", images, err)
		}
		if err == nil {
			_ = in.Close()
		}
	}
}

func TestAFolderOfPicturesThatIsMissingIsRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "l.json")
	if err := os.WriteFile(path, []byte(`[{"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		images string
		want   adapters.Kind
	}{{filepath.Join(dir, "none"), adapters.NotFound}, {path, adapters.Invalid}} {
		_, err := formats.Open(t.Context(), formats.Source{Files: []string{path}, Images: c.images}, formats.Options{})
		if adapters.KindOf(err) != c.want || !strings.Contains(err.Error(), c.images) {
			t.Errorf("%s: error %v, want one of kind %v that names it", c.images, err, c.want)
		}
	}
}
