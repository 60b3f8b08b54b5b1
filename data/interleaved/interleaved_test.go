package interleaved_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/interleaved"
	"github.com/modular-bridging/bridge/data/internal/recordtest"
)

func TestMMC4(t *testing.T) {
	r, err := interleaved.Open(interleaved.MMC4, []string{recordtest.File(t, "docs.jsonl", `{"text_list": ["One.", "Two.", " ", "Three."], "url": "http://x", "image_info": [
 {"image_name": "b.png", "raw_url": "http://x/b.png", "face_detections": null, "matched_text_index": 1, "matched_sim": 0.2},
 {"image_name": "a.png", "matched_text_index": 0, "matched_sim": 0.3}, {"image_name": "c.png", "matched_text_index": 1}], "similarity_matrix": [[0.1]]}
{"text_list": ["Embedded."], "image_info": [{"image_name": "e.png", "image_base64": "aGFsbG8=", "matched_text_index": 0}]}
{"text_list": ["No picture."], "image_info": []}
{"text_list": ["Too few."], "image_info": [{"image_name": "a.png", "matched_text_index": 1}]}
{"text_list": ["Bad."], "image_info": [{"image_name": "a.png", "image_base64": "%", "matched_text_index": 0}]}
{"text_list": ["Address."], "image_info": [{"raw_url": "http://x", "matched_text_index": 0}]}
{"text_list": [], "image_info": []}
`)}, "pictures")
	if err != nil {
		t.Fatal(err)
	}
	recordtest.Close(t, r)
	recordtest.Compare(t, recordtest.All(t, r), []string{
		`0 : <a.png> "One."! <b.png> <c.png> "Two."! "Three."!`,
		`1 : <e.png> "Embedded."!`,
		`2 : "No picture."!`,
		`bad: item 0 of "image_info": "matched_text_index" is 1, want the number of one of 1 sentences`,
		`bad: item 0 of "image_info": "image_base64": illegal base64`,
		`bad: item 0 of "image_info": the document has the picture's address`,
		`bad: the row has neither a text nor a picture`,
	})
	rec, err := r.Record(1)
	if err != nil {
		t.Fatal(err)
	}
	in, err := rec.Pictures()[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(in); err != nil || string(data) != "hallo" {
		t.Errorf("the embedded picture is %q (%v)", data, err)
	}
}

func TestObelics(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "1.png"), []byte("the picture"), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := interleaved.Open(interleaved.Obelics, []string{recordtest.File(t, "docs.jsonl", `{"images": ["1.png", null, "2.png"], "texts": [null, "A text.", null], "metadata": "[]", "general_metadata": "{}"}
{"images": ["1.png"], "texts": ["both"]}
{"images": [null], "texts": [null]}
{"images": ["http://x/1.png"], "texts": [null]}
{"images": ["1.png"], "texts": []}
{"images": [3], "texts": [null]}
`)}, dir)
	if err != nil {
		t.Fatal(err)
	}
	recordtest.Close(t, r)
	recordtest.Compare(t, recordtest.All(t, r), []string{
		`0 : <1.png> "A text."! <2.png>`,
		`bad: place 0 has both a text and a picture`,
		`bad: place 0 has neither a text nor a picture`,
		`bad: item 0 of "images": the picture "http://x/1.png" is a URL`,
		`bad: "texts" has 0 places and "images" 1, want equal numbers`,
		`bad: item 0 of "images" is the number 3`,
	})
}

// Documents as they are published are refused when they are opened.
func TestAddressesAreRefused(t *testing.T) {
	for _, c := range []struct{ format, text string }{
		{interleaved.MMC4, `{"text_list": ["Text."], "image_info": []}` + "\n" + `{"text_list": ["Text."], "image_info": [{"raw_url": "http://x", "matched_text_index": 0}]}`},
		{interleaved.Obelics, `{"images": ["http://x/1.png", null], "texts": [null, "A text."]}`},
	} {
		_, err := interleaved.Open(c.format, []string{recordtest.File(t, "x.jsonl", c.text)}, "pictures")
		if adapters.KindOf(err) != adapters.Unsupported || !strings.Contains(err.Error(), "img2dataset") {
			t.Errorf("%s: %v", c.format, err)
		}
	}
	text := `{"text_list": ["Text."], "image_info": [{"image_name": "1.png", "raw_url": "http://x", "matched_text_index": 0}]}`
	_, err := interleaved.Open(interleaved.MMC4, []string{recordtest.File(t, "x.jsonl", text)}, "")
	if adapters.KindOf(err) != adapters.Unsupported || !strings.Contains(err.Error(), "give their folder as images") {
		t.Errorf("without a folder: %v", err)
	}
	_, err = interleaved.Open(interleaved.MMC4, []string{recordtest.File(t, "x.jsonl", `{"caption": "x"}`)}, "")
	if err == nil || !strings.Contains(err.Error(), "none of mmc4") {
		t.Errorf("another file: %v", err)
	}
}
