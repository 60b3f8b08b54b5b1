package survey_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/record"
	"github.com/modular-bridging/bridge/data/survey"
)

// source is a reader of records in memory.
type source struct {
	records []record.Record
	stopAt  int // the context is cancelled when this row is read; 0 never
	cancel  context.CancelFunc
}

func (s *source) Format() string     { return "memory" }
func (s *source) Len() int           { return len(s.records) }
func (s *source) Digest() string     { return "d" }
func (s *source) Warnings() []string { return nil }
func (s *source) Close() error       { return nil }
func (s *source) Record(i int) (record.Record, error) {
	if s.stopAt > 0 && i == s.stopAt {
		s.cancel()
	}
	r := s.records[i]
	if r.Key == "tags" {
		return r, r.Bad(i, record.Tags, errors.New("2 tags, 1 picture"))
	}
	return r, nil
}

// picture returns a PNG of one color, w by h pixels.
func picture(w, h int, c color.Color) *record.Picture {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		img.Set(i%w, i/w, c)
	}
	var file bytes.Buffer
	if err := png.Encode(&file, img); err != nil {
		panic(err)
	}
	return encoded(file.Bytes())
}

func encoded(file []byte) *record.Picture {
	return &record.Picture{Name: "p", Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(file)), nil }}
}

func captioned(key string, p *record.Picture, captions ...string) record.Record {
	part := record.Part{Target: true}
	for _, c := range captions {
		part.Texts = append(part.Texts, record.Text{Text: c, Weight: 1})
	}
	return record.Record{Key: key, File: "f", Offset: 512, Parts: []record.Part{{Picture: p}, part}}
}

func example() *source {
	red, blue := picture(4, 2, color.RGBA{255, 0, 0, 255}), picture(3, 5, color.RGBA{0, 0, 255, 255})
	gone := &record.Picture{Name: "gone", Open: func() (io.ReadCloser, error) { return nil, fs.ErrNotExist }}
	return &source{records: []record.Record{
		captioned("a", red, "a red thing", "red"),
		captioned("a", red, "red"),
		captioned("b", blue, "a very blue thing"),
		captioned("gone", gone, "nothing"),
		captioned("broken", encoded([]byte("\xff\xd8\xffnot a JPEG\xff\xd9")), "nothing"),
		captioned("tags", red, "x"),
		{Key: "empty", Offset: -1},
		{Key: "text", Parts: []record.Part{record.Of("what?", record.Question, false), record.Of("four", record.Answer, true)}},
	}}
}

func TestSurveyCountsAndNamesWhatIsBad(t *testing.T) {
	got, err := survey.Of(t.Context(), example(), survey.Options{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var plain struct {
		Format                                  string
		Rows, Records, Pictures, Texts, Targets int
		PictureParts                            int `json:"picture_parts"`
		TextOnly                                int `json:"text_only"`
		Words, Short                            survey.Spread
		Duplicates                              survey.Duplicates
		Bad                                     []map[string]any
	}
	if err := json.Unmarshal(text, &plain); err != nil {
		t.Fatal(err)
	}
	if plain.Format != "memory" || plain.Rows != 8 || plain.Records != 4 || plain.Pictures != 2 || plain.PictureParts != 3 ||
		plain.Texts != 6 || plain.Targets != 5 || plain.TextOnly != 1 || (plain.Duplicates != survey.Duplicates{Pictures: 1, Texts: 1, Keys: 1}) {
		t.Errorf("found %s", text)
	}
	if (plain.Words != survey.Spread{Min: 1, Median: 1, P95: 4, Max: 4, Mean: 2}) {
		t.Errorf("words %+v", plain.Words)
	}
	why := map[string]string{"gone": "picture is missing", "broken": "picture cannot be decoded", "tags": "tags do not match pictures", "empty": "neither text nor picture"}
	for _, b := range plain.Bad {
		key := b["key"].(string)
		if b["why"] != why[key] || b["reason"] == "" || key != "empty" && (b["file"] != "f" || b["offset"] != 512.0) {
			t.Errorf("%s: %v", key, b)
		}
		delete(why, key)
	}
	if len(why) > 0 || len(plain.Bad) != 4 {
		t.Errorf("bad records that are not named: %v", why)
	}
}

// A damaged row of a table or of JSON has no key that could be read, and neither has the cut end
// of a shard.
func TestBadRecordWithoutKeyIsNamedByItsRow(t *testing.T) {
	s := example()
	s.records = append(s.records, record.Record{Offset: -1}, record.Record{Offset: -1})
	got, err := survey.Of(t.Context(), s, survey.Options{})
	if err != nil {
		t.Fatal(err)
	}
	last := got.Bad[len(got.Bad)-2:]
	if last[0].Key != "8" || last[1].Key != "9" {
		t.Errorf("keys %q and %q, want the rows 8 and 9", last[0].Key, last[1].Key)
	}
	if got.Duplicates.Keys != 1 {
		t.Errorf("%d repeated keys, want 1: a row without a key repeats none", got.Duplicates.Keys)
	}
}

func TestShowGivesGoodRecordsWithAllAlternatives(t *testing.T) {
	var lines []string
	for s, err := range survey.Show(example(), 4, data.Reader{}) {
		if err != nil {
			t.Fatal(err)
		}
		line, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(line))
	}
	const red = "4cbe2e7813aa0a4e5e28e3891d7582085b23296f73338a9dde1c25edcc7cff8a" // of eight red pixels, by Python's hashlib
	if len(lines) != 4 || lines[0] != `{"key":"a","parts":[{"picture":{"width":4,"height":2,"sha256":"`+red+`"}},{"text":"a red thing","target":true},{"text":"red","target":true}]}` ||
		lines[3] != `{"key":"text","parts":[{"text":"what?"},{"text":"four","target":true}]}` {
		t.Errorf("shown:\n%s", strings.Join(lines, "\n"))
	}
	n := 0
	for range survey.Show(example(), 2, data.Reader{}) {
		n++
	}
	if n != 2 {
		t.Errorf("%d records are shown, want 2", n)
	}
}

// An interrupted survey continues after the rows of its journal, also if the journal's last line
// was cut off, and finds the same.
func TestSurveyContinuesWhereItStopped(t *testing.T) {
	many := func() *source {
		s := &source{}
		p := picture(2, 2, color.White)
		for i := range 1000 {
			s.records = append(s.records, captioned(fmt.Sprint(i), p, fmt.Sprint("caption ", i%70)))
		}
		s.records[300].Parts[0].Picture = encoded(nil)
		return s
	}
	want, err := survey.Of(t.Context(), many(), survey.Options{})
	if err != nil {
		t.Fatal(err)
	}
	journal := filepath.Join(t.TempDir(), "checks", "j.jsonl")
	ctx, cancel := context.WithCancel(t.Context())
	s := many()
	s.stopAt, s.cancel = 600, cancel
	if _, err := survey.Of(ctx, s, survey.Options{Journal: journal}); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled survey: %v", err)
	}
	text, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(journal, text[:len(text)-5], 0o644); err != nil {
		t.Fatal(err)
	}
	continued := 0
	got, err := survey.Of(t.Context(), many(), survey.Options{Journal: journal, Continued: func(done int) { continued = done }})
	if err != nil || continued != 511 || !reflect.DeepEqual(got, want) {
		t.Errorf("continued after %d rows (%v); found %+v, want %+v", continued, err, got, want)
	}
	if _, err := os.Stat(journal); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the journal of a finished survey is still there: %v", err)
	}
}

// A journal of another source is not continued, and --fresh ignores one.
func TestJournalOfAnotherSourceIsNotContinued(t *testing.T) {
	journal := filepath.Join(t.TempDir(), "j.jsonl")
	const other = `{"revision":1,"format":"memory","digest":"other","rows":8,"orientation":""}` + "\n" + `{"key":"x"}` + "\n"
	own := strings.Replace(other, "other", "d", 1)
	for text, o := range map[string]survey.Options{other: {}, own: {Fresh: true}} {
		if err := os.WriteFile(journal, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		o.Journal = journal
		if got, err := survey.Of(t.Context(), example(), o); err != nil || got.Rows != 8 || got.Records != 4 {
			t.Errorf("%+v (%v), want 4 good records of 8", got, err)
		}
	}
}

func TestOverlapIsByPixels(t *testing.T) {
	red, blue := color.RGBA{255, 0, 0, 255}, color.RGBA{0, 0, 255, 255}
	of := func(pictures ...*record.Picture) *survey.Summary {
		s := &source{}
		for i, p := range pictures {
			s.records = append(s.records, captioned(fmt.Sprint(i), p, "x"))
		}
		got, err := survey.Of(t.Context(), s, survey.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	train, eval := of(picture(2, 2, red), picture(2, 2, blue)), of(picture(2, 2, red), picture(4, 1, red))
	if n := survey.Overlap([]*survey.Summary{train}, []*survey.Summary{eval}); n != 1 {
		t.Errorf("%d pictures in common, want 1", n)
	}
}

func TestPageShowsPicturesAndEscapesTexts(t *testing.T) {
	s := example()
	s.records[0].Parts[1].Texts[0].Text = "<script>alert(1)</script>"
	found, err := survey.Of(t.Context(), s, survey.Options{})
	if err != nil {
		t.Fatal(err)
	}
	page := survey.Page{Title: "<b>"}
	page.Add("s", found, &survey.Tokens{LLM: "m", Limit: 32, Cut: 1, Share: 0.5}, s, data.Reader{})
	path := filepath.Join(t.TempDir(), "page.html")
	if err := page.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"data:image/jpeg;base64,", "tags do not match pictures", "&lt;script&gt;", "50.0 %"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(string(text), "<script>") || strings.Contains(string(text), "ZgotmplZ") {
		t.Error("the page has a text that is not escaped")
	}
}
