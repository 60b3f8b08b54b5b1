package data_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/data"
)

// An empty text is no caption, no question and no answer. Each kind is left out and counted once.
func TestEmptyTextsAreLeftOutAndCounted(t *testing.T) {
	d, broken, err := data.OpenFiles(data.Files{
		Captions: annotate(t, `[{"image": "red.png", "caption": ["red", "", " \t"]}, {"image": "sub/gray.jpg", "caption": ""}, {"image": "sub/gray.jpg", "caption": "gray"}]`),
		Questions: annotate(t, `[{"image": "red.png", "question": "why?", "answer": ""},
			{"image": "red.png", "question": "what?", "answer": ["", "a", " ", "b", "a"]},
			{"image": "red.png", "question": "who?", "answer": ["", ""]}, {"image": "red.png", "question": "when?", "answer": []},
			{"image": "red.png", "question": " ", "answer": "yes"}]`),
		Images: folder(t), Name: "mine",
	}, spec)
	if err != nil || len(broken) > 0 {
		t.Fatal(err, broken)
	}
	want := data.Record{ID: "red.png", Captions: []string{"red"}, Questions: []data.QA{{Question: "what?", Answer: "a", Answers: []string{"a", "b", "a"}}}}
	if got := recordOf(d, 0); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	warnings := []string{
		"mine: empty captions left out: 3", "mine: empty questions left out: 1", "mine: empty answers left out: 5",
		"mine: questions without an answer left out: 3",
	}
	if got := data.Warnings(d); !slices.Equal(got, warnings) {
		t.Errorf("warnings %q, want %q", got, warnings)
	}
}

// A picture has the image_id of its first entry. Another one is counted, and none is no other.
func TestOtherImageIDsOfAPictureAreCounted(t *testing.T) {
	d, _, err := data.OpenFiles(data.Files{Images: folder(t), Name: "mine", Captions: annotate(t, `[
		{"image": "red.png", "caption": "red", "image_id": 7}, {"image": "red.png", "caption": "ruby", "image_id": "7"},
		{"image": "red.png", "caption": "rose"}, {"image": "red.png", "caption": "rust", "image_id": 8}]`)}, spec)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"mine: image_ids that differ from that of the picture's first entry left out: 1"}
	if got := data.Warnings(d); !slices.Equal(got, want) {
		t.Errorf("warnings %q, want %q", got, want)
	}
}

// JSON lines and a byte order mark are read; a key in another case is not, with one warning.
func TestFilesReadLinesAndMarks(t *testing.T) {
	d, broken, err := data.OpenFiles(data.Files{Images: folder(t), Captions: annotate(t, "\ufeff"+`{"image": "red.png", "caption": "red"}`+"\r\n"+
		`{"image": "sub/gray.jpg", "Image": "red.png", "caption": "gray"}`+"\r\n")}, spec)
	if err != nil || len(broken) > 0 || d.Len() != 2 || recordOf(d, 1).ID != "sub/gray.jpg" {
		t.Fatal(d, broken, err)
	}
	if got := data.Warnings(d); len(got) != 1 || !strings.Contains(got[0], "annotations.json") || !strings.Contains(got[0], "1 of 2 entries") {
		t.Errorf("warnings %q", got)
	}
}

// Bytes of another encoding end the opening of a data set. They were trained on as U+FFFD.
func TestFilesThatAreNotUTF8AreRefused(t *testing.T) {
	for _, text := range []string{"caf\xe9", `\ud83d`} {
		_, _, err := data.OpenFiles(data.Files{Images: folder(t), Captions: annotate(t, `[{"image": "red.png", "caption": "`+text+`"}]`)}, spec)
		if err == nil || !strings.Contains(err.Error(), `annotations.json: entry 0 (line 1, byte `) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
