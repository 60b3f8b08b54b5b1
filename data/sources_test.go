package data_test

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"io/fs"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/record"
	"github.com/modular-bridging/bridge/imaging"
)

// list is a reader of records in memory; a record with the key "bad" fails.
type list []record.Record

func (l list) Format() string     { return "list" }
func (l list) Len() int           { return len(l) }
func (l list) Digest() string     { return "digest" }
func (l list) Warnings() []string { return []string{"a warning"} }
func (l list) Close() error       { return nil }
func (l list) Record(i int) (record.Record, error) {
	if l[i].Key == "bad" {
		return l[i], l[i].Bad(i, record.Tags, errors.New("2 tags, 1 picture"))
	}
	return l[i], nil
}

// short is a reader in a process that has no file handles left.
type short struct{ list }

func (s short) Record(i int) (record.Record, error) {
	return s.list[i], s.list[i].Bad(i, record.Damaged, fmt.Errorf("open: %w", syscall.EMFILE))
}

// A lack of file handles is no record's fault, so it leaves none out.
func TestRecordsAreNotBlamedForTheProcess(t *testing.T) {
	d, err := data.OpenSources([]data.Source{{Name: "s", Records: short{list{{Key: "a"}}}}}, data.SourceOptions{}, tinySpec)
	if err != nil {
		t.Fatal(err)
	}
	var bad *data.PictureError
	if _, err := d.Record(0); errors.As(err, &bad) || !errors.Is(err, syscall.EMFILE) {
		t.Errorf("a lack of file handles: %v, want an error of the run", err)
	}
}

func bytesOf(encoded string) record.Part {
	return record.Part{Picture: &record.Picture{Name: "p", Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader([]byte(encoded))), nil }}}
}

func target(texts ...record.Text) record.Part { return record.Part{Texts: texts, Target: true} }

func answer(texts ...record.Text) record.Part {
	return record.Part{Texts: texts, Target: true, Role: record.Answer}
}

var tinySpec = adapters.ImageSpec{Width: 2, Height: 2, Resample: adapters.Bicubic, Mode: adapters.Squash}

func sources(t *testing.T, o data.SourceOptions, all ...list) *data.Sources {
	t.Helper()
	var named []data.Source
	for _, l := range all {
		named = append(named, data.Source{Name: "s", Records: l})
	}
	d, err := data.OpenSources(named, o, tinySpec)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A record is a picture with captions, a picture with a question, or a sequence.
func TestRowsOfRecords(t *testing.T) {
	picture := bytesOf("")
	question := record.Part{Texts: []record.Text{{Text: "How MANY?", Weight: 1}}, Role: record.Question, Kind: "count"}
	conversation := []record.Part{picture, question, record.Of("two", record.Answer, true), question, record.Of("three", record.Answer, true)}
	document := []record.Part{picture, record.Of("one", record.Plain, true), picture, record.Of("two", record.Plain, true)}
	for name, c := range map[string]struct {
		parts   []record.Part
		process bool
		want    data.Record
	}{
		"captions": {parts: []record.Part{picture, target(record.Text{Text: "a", Weight: 1}, record.Text{Text: "b", Weight: 1}, record.Text{Text: "a", Weight: 1}, record.Text{Text: " "})},
			want: data.Record{Captions: []string{"a", "b"}}},
		"the caption before its picture": {parts: []record.Part{target(record.Text{Text: "a", Weight: 1}), picture}, want: data.Record{Captions: []string{"a"}}},
		"weighted captions": {parts: []record.Part{picture, target(record.Text{Text: "a", Weight: 3}, record.Text{Text: "never"}, record.Text{Text: "b", Weight: 1})},
			want: data.Record{Captions: []string{"a", "b"}, Weights: []float64{3, 1}}},
		"captions as LAVIS prepares them": {parts: []record.Part{picture, target(record.Text{Text: "A Dog!"})}, process: true, want: data.Record{Captions: []string{"a dog"}}},
		"people's answers": {parts: []record.Part{picture, question, answer(record.Text{Text: "2", Weight: 2}, record.Text{Text: "3", Weight: 1})},
			want: data.Record{Questions: []data.QA{{Question: "How MANY?", Answer: "2", Answers: []string{"2", "2", "3"}, Kind: "count"}}}},
		"weights that count nobody": {parts: []record.Part{picture, question, answer(record.Text{Text: "2", Weight: 0.3}, record.Text{Text: "3", Weight: 0.7})},
			want: data.Record{Questions: []data.QA{{Question: "How MANY?", Answer: "3", Answers: []string{"2", "3"}, Weights: []float64{0.3, 0.7}, Kind: "count"}}}},
		"no text": {parts: []record.Part{picture, target(record.Text{Text: ""})}},
		"a conversation": {parts: conversation, want: data.Record{Sequence: conversation,
			Questions: []data.QA{{Question: "How MANY?", Answer: "two", Kind: "count"}}}},
		"a document": {parts: document, want: data.Record{Sequence: document}},
	} {
		d := sources(t, data.SourceOptions{Process: c.process}, list{{Key: "k", Group: "g", Parts: c.parts}})
		got, err := d.Record(0)
		c.want.ID, c.want.Group = "#0", got.Group
		if err != nil || !reflect.DeepEqual(withoutOpen(got), withoutOpen(c.want)) {
			t.Errorf("%s: %+v (%v), want %+v", name, got, err, c.want)
		}
	}
}

// withoutOpen returns a record whose pictures can be compared.
func withoutOpen(r data.Record) data.Record {
	for i := range r.Sequence {
		if r.Sequence[i].Picture != nil {
			r.Sequence[i].Picture = &record.Picture{}
		}
	}
	return r
}

func TestBadRecordsNameFileKeyAndReason(t *testing.T) {
	gone := record.Part{Picture: &record.Picture{Name: "x.jpg", Open: func() (io.ReadCloser, error) { return nil, fs.ErrNotExist }}}
	caption := record.Of("a", record.Plain, true)
	in := func(key string, parts ...record.Part) record.Record {
		return record.Record{Key: key, File: "f.json", Offset: 7, Parts: parts}
	}
	d := sources(t, data.SourceOptions{}, list{in("ok", bytesOf("x"), caption)}, list{in("bad"), in("none"), in("text", caption), in("gone", gone, caption), in("broken", bytesOf("\xff\xd8\xff no JPEG"), caption)})
	for row, want := range map[int]record.Why{1: record.Tags, 2: record.Empty, 3: record.NoPicture, 4: record.MissingPicture, 5: record.BadPicture} {
		_, err := d.Record(row)
		if want == record.MissingPicture || want == record.BadPicture {
			if err != nil {
				t.Errorf("row %d: %v, want a record: its picture is not read", row, err)
			}
			_, err = d.Image(row)
		}
		var bad *record.BadRecord
		var p *data.PictureError
		if !errors.As(err, &bad) || !errors.As(err, &p) || bad.Why != want || bad.File != "f.json" || bad.Key == "" || bad.Row != row-1 || p.Row != row || p.Picture != d.IDOf(row) {
			t.Errorf("row %d: %v (%+v), want %q", row, err, bad, want)
		}
	}
	list := &data.LeftOutList{Data: "d"}
	_, err := d.Record(1)
	if err := list.Add(data.Record{}, d.IDOf(1), err); err != nil {
		t.Fatal(err)
	}
	if got := list.All()[0]; got.Why != record.Tags || got.File != "f.json" || got.Key != "bad" || got.Offset == nil || *got.Offset != 7 || list.Counts()[record.Tags] != 1 {
		t.Errorf("left out as %+v", got)
	}
	if row, ok := d.RowOf(list.All()[0].Picture); !ok || row != 1 {
		t.Errorf("row of %q: %d, %v", list.All()[0].Picture, row, ok)
	}
	if _, ok := d.RowOf("#6"); ok {
		t.Error("there is a row 6 of 6")
	}
	kept := []record.Record{in("text", caption)}
	if r, err := sources(t, data.SourceOptions{TextOnly: true}, kept).Record(0); err != nil || len(r.Sequence) != 1 {
		t.Errorf("a text alone: %+v, %v", r, err)
	}
}

// The pixels of a picture in a source are those of the same file beside annotations, and picture
// k of a row has its own index.
func TestPicturesOfSources(t *testing.T) {
	one, two := pngOf(t, 4, 2), pngOf(t, 3, 5)
	caption := record.Of("a", record.Plain, true)
	d := sources(t, data.SourceOptions{}, list{{Key: "a", Parts: []record.Part{bytesOf(one), caption}}, {Key: "b", Parts: []record.Part{bytesOf(one), caption, bytesOf(two)}}})
	second, err := d.Image(data.PictureAt(d, 1, 1))
	if err != nil {
		t.Fatal(err)
	}
	img, err := imaging.Decode(strings.NewReader(two), imaging.ByExif)
	if err != nil {
		t.Fatal(err)
	}
	want, err := imaging.Process(img, tinySpec)
	if err != nil || string(second.Data) != string(want) {
		t.Errorf("picture 1 of row 1 has pixels %v (%v), want %v", second.Data, err, want)
	}
	if _, err := d.Image(data.PictureAt(d, 0, 1)); err == nil {
		t.Error("row 0 has a second picture")
	}
	if d.Digest() == sources(t, data.SourceOptions{}, list{{}}, list{{}}).Digest() {
		t.Error("two sources have the digest of one")
	}
}

// Each picture that can be read is reported by its bytes.
func TestSourcesReportPictures(t *testing.T) {
	one, two := pngOf(t, 4, 2), pngOf(t, 3, 5)
	caption := record.Of("a", record.Plain, true)
	d := sources(t, data.SourceOptions{}, list{{Key: "a", Parts: []record.Part{bytesOf(one), caption}}, {Key: "b", Parts: []record.Part{bytesOf("no picture"), caption, bytesOf(two)}}})
	var got []string
	d.OnPicture(func(digest string) { got = append(got, digest) })
	for _, i := range []int{0, data.PictureAt(d, 1, 0), data.PictureAt(d, 1, 1)} {
		_, _ = d.Image(i) // one of them is damaged
	}
	if want := []string{data.PictureDigest([]byte(one)), data.PictureDigest([]byte(two))}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// pngOf returns a PNG of w by h pixels that differ.
func pngOf(t *testing.T, w, h int) string {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		img.Set(i%w, i/w, color.RGBA{uint8(40 * i), uint8(90 * i), uint8(w), 255})
	}
	var file bytes.Buffer
	if err := png.Encode(&file, img); err != nil {
		t.Fatal(err)
	}
	return file.String()
}
