package annotations_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/data/annotations"
)

// Files of other programs are recognised, and the message says what to write instead.
func TestOtherLayoutsAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		`{"info": {}, "licenses": [], "images": [{"id": 1, "file_name": "1.jpg"}], "annotations": [{"image_id": 1, "id": 2, "caption": "a"}]}`: "COCO's own",
		`[{"image_id": 1, "id": 2, "caption": "a"}]`:                                                                                     "COCO's (image_id without image)",
		`{"images": [{"filepath": "val2014", "filename": "1.jpg", "sentences": []}], "dataset": "coco"}`:                                 "Karpathy's",
		`{"images": [{"filepath": "val2014", "filename": "1.jpg", "sentences": [{"raw": "a"}]}]}`:                                        "Karpathy's",
		`{"filename": "1.jpg", "sentences": [{"raw": "a"}]}` + "\n":                                                                      "Karpathy's",
		`{"images": "1.jpg", "caption": "a"}` + "\n":                                                                                     `rename "images" to "image"`,
		`{"info": {}, "task_type": "Open-Ended", "questions": [{"image_id": 1, "question": "a?", "question_id": 2}]}`:                    "VQA's questions",
		`{"info": {}, "annotations": [{"question_id": 1, "answers": [{"answer": "a", "answer_id": 1}]}]}`:                                "VQA's annotations",
		`[{"image_id": 1, "question": "a?", "question_id": 2}]`:                                                                          "VQA's (image_id without image)",
		`[{"id": "1", "image": "1.jpg", "conversations": [{"from": "human", "value": "<image>\na?"}, {"from": "gpt", "value": "b"}]}]`:   "LLaVA's",
		`{"id": "1", "image": "1.jpg", "conversations": [{"from": "human", "value": "a?"}]}` + "\n":                                      "LLaVA's",
		`[{"messages": [{"role": "user", "content": "<image>a?"}], "images": ["1.jpg"]}]`:                                                "a chat's",
		`[{"image": "1.jpg", "question": "a?", "answers": [{"answer": "b", "answer_confidence": "yes"}], "answerable": 1}]`:              "VizWiz's",
		`{"05515938": {"imageId": "1", "question": "a?", "answer": "b"}, "05515939": {"imageId": "1", "question": "a?", "answer": "b"}}`: "an object of entries by id",
		`[{"imageId": "1", "question": "a?", "answer": "b"}]`:                                                                            "GQA's",
		`{"dataset_type": "val", "data": [{"image_id": "1", "caption_str": "a"}]}`:                                                       "TextCaps's or TextVQA's",
		`{"file_name": "1.jpg", "text": "a"}` + "\n" + `{"file_name": "2.jpg", "text": "b"}`:                                             "Hugging Face's",
		`[{"url": "https://example.com/1.jpg", "caption": "a", "key": "000", "status": "success"}]`:                                      "img2dataset's",
		`{"image_info": [{"image_name": "1.jpg"}], "text_list": ["a"]}`:                                                                  "MMC4's",
		`{"images": ["https://example.com/1.jpg", null], "texts": [null, "a"]}`:                                                          "OBELICS's",
		"image,caption\n1.jpg,a dog\n":   "a table (CSV)",
		"\ufeffimage,caption\n1.jpg,a\n": "a table (CSV)",
		"image\tcaption\r\n1.jpg\ta dog": "a table (TSV)",
		"PAR1\x15\x04":                   "a Parquet file",
		"ARROW1\x00\x00":                 "an Arrow file",
		"\x1f\x8b\x08\x00":               "compressed with gzip",
		"PK\x03\x04\x14\x00":             "a ZIP archive",
		"\x80\x04\x95\x10":               "a Python pickle",
		"<!DOCTYPE html>\n<html>":        "HTML or XML",
		"- image: 1.jpg\n  caption: a\n": "YAML",
		"version https://git-lfs.github.com/spec/v1\noid sha256:1": "a pointer of Git LFS",
		"000000.jpg" + strings.Repeat("\x00", 247) + "ustar\x00":   "a tar archive",
		"a dog":     `begins with "a dog"`,
		"\xe9t\xe9": "begins with",
		`"[]"`:      "begins with",
	} {
		entries, errs, _ := read(t, text, annotations.Captions)
		if len(errs) != 1 || len(entries) > 0 || !strings.Contains(errs[0].Error(), want) || !strings.Contains(errs[0].Error(), `write`) && !strings.Contains(errs[0].Error(), `rename`) {
			t.Errorf("%.60s: got %v, want %q", text, errs, want)
		}
	}
}

// However many keys an entry has, those that bridge reads are found.
func TestEntriesMayHaveManyKeys(t *testing.T) {
	var other []string
	for i := range 200 {
		other = append(other, fmt.Sprintf(`"key%d": {}, `, i))
	}
	entries, errs, _ := read(t, "[{"+strings.Join(other, "")+`"caption": "a", "image": "1.jpg"}]`, annotations.Captions)
	if len(errs) > 0 || len(entries) != 1 || entries[0].Image != "1.jpg" {
		t.Errorf("%+v, %v", entries, errs)
	}
}

// Further keys are ignored, those of other programs too: only an entry that lacks something is
// of another layout, and only the first one tells.
func TestWholeEntriesMayHaveKeysOfOtherLayouts(t *testing.T) {
	entries, errs, _ := read(t, `[{"image": "1.jpg", "caption": "a", "conversations": [], "url": "x", "data": 1},
		{"image_id": 1, "caption": "a"}, {"image": "1.jpg", "question": "a?", "answer": "b", "answers": []}]`, annotations.Captions)
	if len(entries) != 2 || len(errs) != 1 || !strings.Contains(errs[0].Error(), `entry 1 (line 2): "image" is missing`) {
		t.Errorf("%d entries, %v", len(entries), errs)
	}
}
