package official_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/data/internal/recordtest"
	"github.com/modular-bridging/bridge/data/official"
)

// files are small files with the keys of the official ones.
var files = map[string]string{
	"captions_val2014.json": `{"info": {"year": 2014}, "images": [
		{"license": 5, "file_name": "COCO_val2014_000000000042.jpg", "coco_url": "http://x", "height": 2, "width": 2, "id": 42},
		{"file_name": "COCO_val2014_000000000043.jpg", "id": 43}],
		"licenses": [{"id": 1}],
		"annotations": [{"image_id": 43, "id": 1, "caption": "of 43\n"}, {"image_id": 42, "id": 2, "caption": "first of 42"}, {"image_id": 42, "id": 3, "caption": "second of 42"}]}`,
	"vizwiz_captions.json": `{"images": [{"file_name": "VizWiz_val_0.jpg", "id": 0}, {"file_name": "VizWiz_val_1.jpg", "id": 1}],
		"annotations": [{"caption": "a can", "image_id": 0, "is_precanned": false, "is_rejected": false}, {"caption": "Quality issues.", "image_id": 0, "is_precanned": true, "is_rejected": true},
		{"caption": 7, "image_id": 1, "id": 3}]}`,
	"image_info_test2014.json": `{"images": [{"file_name": "COCO_test2014_000000000001.jpg", "id": 1}], "categories": []}`,
	"dataset_coco.json": `{"images": [
		{"filepath": "val2014", "sentids": [1], "filename": "a.jpg", "imgid": 0, "split": "test", "sentences": [{"tokens": ["a"], "raw": "A.", "imgid": 0, "sentid": 1}], "cocoid": 9},
		{"filepath": "train2014", "filename": "b.jpg", "imgid": 1, "split": "train", "sentences": [{"raw": "B."}, {"raw": "b"}], "cocoid": 8},
		{"filepath": "val2014", "filename": "c.jpg", "imgid": 2, "split": "restval", "sentences": [{"raw": "C."}]}], "dataset": "coco"}`,
	"v2_questions.json": `{"info": {}, "task_type": "Open-Ended", "data_type": "mscoco", "license": {}, "data_subtype": "train2014", "questions": [
		{"image_id": 458752, "question": "What is this?", "question_id": 458752000},
		{"image_id": 458752, "question": "Is it red?", "question_id": 458752001},
		{"image_id": 1, "question": "No annotation?", "question_id": 5}]}`,
	"v2_annotations.json": `{"info": {}, "data_subtype": "train2014", "annotations": [
		{"question_type": "is", "multiple_choice_answer": "yes", "answers": [{"answer": "yes", "answer_confidence": "yes", "answer_id": 1}, {"answer": "no", "answer_id": 2}, {"answer": "yes", "answer_id": 3}],
		 "image_id": 458752, "answer_type": "yes/no", "question_id": 458752001},
		{"multiple_choice_answer": "net", "answers": [{"answer": "net", "answer_id": 1}], "image_id": 458752, "answer_type": "other", "question_id": 458752000}]}`,
	"v2_test_questions.json": `{"data_subtype": "test-dev2015", "questions": [{"image_id": 2, "question": "What?", "question_id": 1}]}`,
	"okvqa_annotations.json": `{"data_subtype": "train2014", "annotations": [
		{"image_id": 458752, "answer_type": "other", "question_id": 458752000, "answers": [{"answer_id": 1, "raw_answer": "racing", "answer_confidence": "yes", "answer": "race"}]},
		{"image_id": 458752, "question_id": 458752001, "answers": []}, {"image_id": 1, "question_id": 5, "answers": [{"answer": "x"}]}]}`,
	"aokvqa_v1p0_val.json": `[{"split": "val", "image_id": 461751, "question_id": "22jb", "question": "What is it?", "choices": ["ram", "cow"], "correct_choice_idx": 0,
		"direct_answers": ["ram", "sheep", "ram"], "difficult_direct_answer": false, "rationales": ["x"]}, {"split": "test", "image_id": 2, "question_id": "t", "question": "And?", "choices": []}]`,
	"gqa.json": `{"201307251": {"semantic": [], "entailed": [], "equivalent": ["x"], "question": "Is the sky dark?", "imageId": "2354786", "isBalanced": true, "groups": {}, "answer": "yes",
		"semanticStr": "x", "annotations": {}, "types": {"detailed": "verifyAttr", "semantic": "attr", "structural": "verify"}, "fullAnswer": "Yes, the sky is dark."},
		"07333408": {"question": "What is on the wall?", "imageId": "n161313", "answer": "pipe"}}`,
	"vizwiz_train.json": `[{"image": "VizWiz_train_00000000.jpg", "question": "What is this?", "answers": [{"answer_confidence": "yes", "answer": "basil"}, {"answer_confidence": "yes", "answer": "unanswerable"}, {"answer": "basil"}],
		"answer_type": "other", "answerable": 1}, {"image": "VizWiz_test_00000001.jpg", "question": "And this?"}]`,
	"TextVQA_0.5.1_train.json": `{"dataset_type": "train", "dataset_name": "textvqa", "dataset_version": "0.5.1", "data": [
		{"question": "what brand?", "image_id": "005", "image_classes": ["Belt"], "flickr_original_url": "http://x", "question_id": 34602, "answers": ["nous", "dakota", "dakota"], "question_tokens": ["what"], "set_name": "train"},
		{"question": "and this?", "image_id": "006", "question_id": 1, "set_name": "test"}]}`,
	"TextCaps_0.1_train.json":  `{"dataset_type": "train", "data": [{"image_id": "005", "caption_str": "A book.", "caption_id": 1, "image_name": "005", "set_name": "train", "reference_strs": ["A book."]}]}`,
	"region_descriptions.json": `[{"id": 1, "regions": [{"region_id": 1382, "width": 1, "height": 1, "image_id": 1, "phrase": "the clock is green", "y": 1, "x": 1}, {"phrase": "shade", "image_id": 1}]}, {"id": 2, "regions": []}]`,
	"question_answers.json": `[{"id": 1, "qas": [{"a_objects": [], "question": "What colour?", "image_id": 1, "qa_id": 986768, "answer": "Green.", "q_objects": []}, {"question": "How many?", "image_id": 1, "answer": "Two."}]},
		{"id": 3, "qas": []}, {"id": 2, "qas": [{"question": "Why?", "image_id": 2, "answer": "So."}]}]`,
	"damaged.token":          "1.jpg#0\tA dog .\nno tab\n1.jpg#1\tA \xff .\n2.jpg#0\tA cat .\n",
	"results_20130124.token": "1.jpg#0\tA dog .\n1.jpg#1\tA dog , running .\n2.jpg#0\tA cat .\r\n1.jpg#2\tOne more .\n",
}

func TestOfficialFiles(t *testing.T) {
	for _, c := range []struct {
		format string
		files  string
		want   []string
	}{
		{official.COCO, "captions_val2014.json", []string{`0 42: <COCO_val2014_000000000042.jpg> "first of 42"/"second of 42"!`, `1 43: <COCO_val2014_000000000043.jpg> "of 43\n"!`}},
		{official.Nocaps, "image_info_test2014.json", []string{`0 1: <COCO_test2014_000000000001.jpg>`}},
		{official.COCO, "vizwiz_captions.json", []string{`0 0: <VizWiz_val_0.jpg> "a can"!`, `bad: the annotation at byte 293: "caption" is the number 7`}},
		{official.Karpathy, "dataset_coco.json#train+restval", []string{`0 8: <train2014/b.jpg> "B."/"b"!`, `1 2: <val2014/c.jpg> "C."!`}},
		{official.Karpathy, "dataset_coco.json#test", []string{`0 9: <val2014/a.jpg> "A."!`}},
		{official.VQAv2, "v2_annotations.json v2_questions.json", []string{
			`0 458752: <COCO_train2014_000000458752.jpg> question"What is this?"(other) answer"net"!`,
			`1 458752: <COCO_train2014_000000458752.jpg> question"Is it red?"(yes/no) answer"yes"×2/"no"!`,
			`bad : no annotation has its question_id, 5`}},
		{official.VQAv2, "v2_test_questions.json", []string{`0 2: <COCO_test2015_000000000002.jpg> question"What?"`}},
		{official.OKVQA, "v2_questions.json okvqa_annotations.json", []string{
			`0 458752: <COCO_train2014_000000458752.jpg> question"What is this?"(other) answer"race"!`,
			`1 458752: <COCO_train2014_000000458752.jpg> question"Is it red?"`,
			`2 1: <COCO_train2014_000000000001.jpg> question"No annotation?" answer"x"!`}},
		{official.AOKVQA, "aokvqa_v1p0_val.json", []string{`0 461751: <000000461751.jpg> question"What is it?" answer"ram"×2/"sheep"!`, `1 2: <000000000002.jpg> question"And?"`}},
		{official.GQA, "gqa.json", []string{`0 2354786: <2354786.jpg> question"Is the sky dark?"(verify) answer"yes"!`, `1 n161313: <n161313.jpg> question"What is on the wall?" answer"pipe"!`}},
		{official.VizWiz, "vizwiz_train.json", []string{
			`0 VizWiz_train_00000000.jpg: <VizWiz_train_00000000.jpg> question"What is this?"(other) answer"basil"×2/"unanswerable"!`, `1 VizWiz_test_00000001.jpg: <VizWiz_test_00000001.jpg> question"And this?"`}},
		{official.TextVQA, "TextVQA_0.5.1_train.json", []string{`0 005: <005.jpg> question"what brand?" answer"nous"/"dakota"×2!`, `1 006: <006.jpg> question"and this?"`}},
		{official.TextCaps, "TextCaps_0.1_train.json", []string{`0 005: <005.jpg> "A book."!`}},
		{official.VisualGenome, "region_descriptions.json", []string{`0 1: <1.jpg> "the clock is green"/"shade"!`, `1 2: <2.jpg>`}},
		{official.VisualGenome, "question_answers.json", []string{
			`0 1: <1.jpg> question"What colour?" answer"Green."!`, `1 1: <1.jpg> question"How many?" answer"Two."!`, `2 2: <2.jpg> question"Why?" answer"So."!`}},
		{official.Flickr30k, "results_20130124.token", []string{`0 1.jpg: <1.jpg> "A dog ."/"A dog , running ."/"One more ."!`, `1 2.jpg: <2.jpg> "A cat ."!`}},
		{official.Flickr30k, "damaged.token", []string{`0 1.jpg: <1.jpg> "A dog ."!`, `bad : line 2: it has no tab`, `bad : line 3: it is not UTF-8`, `3 2.jpg: <2.jpg> "A cat ."!`}},
	} {
		t.Run(c.format+" "+c.files, func(t *testing.T) {
			r, err := official.Open(c.format, write(t, c.files), "pictures")
			if err != nil {
				t.Fatal(err)
			}
			recordtest.Close(t, r)
			recordtest.Compare(t, recordtest.All(t, r), c.want)
			if r.Format() != c.format || r.Digest() == "" {
				t.Errorf("format %q, digest %q", r.Format(), r.Digest())
			}
		})
	}
}

// write writes files of the table, whose names may end in #SPLIT.
func write(t *testing.T, names string) []string {
	t.Helper()
	var paths []string
	for name := range strings.FieldsSeq(names) {
		file, splits, _ := strings.Cut(name, "#")
		text, ok := files[file]
		if !ok {
			t.Fatal(file)
		}
		path := recordtest.File(t, file, text)
		if splits != "" {
			path += "#" + splits
		}
		paths = append(paths, path)
	}
	return paths
}

func TestCaptionsOfPicturesThatAreNotListedAreCounted(t *testing.T) {
	for text, want := range map[string][]string{
		`{"images": [{"file_name": "1.jpg", "id": 1}], "annotations": [{"image_id": 1, "caption": "a"}, {"image_id": 2, "caption": "b"}, {"image_id": 2, "caption": "c"}]}`: {"no picture has, which are left out: 2"},
		`{"images": [{"file_name": "1.jpg", "id": 1}], "annotations": [{"image_id": 1, "caption": "a"}]}`:                                                                   nil,
	} {
		r, err := official.Open(official.COCO, []string{recordtest.File(t, "captions.json", text)}, "")
		if err != nil {
			t.Fatal(err)
		}
		defer recordtest.Close(t, r)
		if w := r.Warnings(); len(w) != len(want) || len(w) > 0 && !strings.Contains(w[0], want[0]) {
			t.Errorf("warnings %q, want %q", w, want)
		}
	}
}

// Pictures are found in the folders in which data sets are unpacked.
func TestPicturesInTheFoldersOfTheirSubsets(t *testing.T) {
	for _, c := range []struct{ format, file, picture string }{
		{official.COCO, "captions_val2014.json", "COCO_val2014_000000000042.jpg"},
		{official.COCO, "captions_val2014.json", "val2014/COCO_val2014_000000000042.jpg"},
		{official.VQAv2, "v2_questions.json", "train2014/COCO_train2014_000000458752.jpg"},
		{official.AOKVQA, "aokvqa_v1p0_val.json", "val2017/000000461751.jpg"},
		{official.GQA, "gqa.json", "images/2354786.jpg"},
		{official.VizWiz, "vizwiz_train.json", "train/VizWiz_train_00000000.jpg"},
		{official.TextVQA, "TextVQA_0.5.1_train.json", "train_images/005.jpg"},
		{official.VisualGenome, "region_descriptions.json", "VG_100K_2/1.jpg"},
		{official.Flickr30k, "results_20130124.token", "flickr30k-images/1.jpg"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, c.picture)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("the picture"), 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := official.Open(c.format, write(t, c.file), dir)
		if err != nil {
			t.Fatal(err)
		}
		recordtest.Close(t, r)
		rec, err := r.Record(0)
		if err != nil {
			t.Fatal(err)
		}
		in, err := rec.Pictures()[0].Open()
		if err != nil {
			t.Errorf("%s: %v", c.picture, err)
			continue
		}
		data, err := io.ReadAll(in)
		if err != nil || string(data) != "the picture" || in.Close() != nil {
			t.Errorf("%s: %q %v", c.picture, data, err)
		}
	}
	r, err := official.Open(official.COCO, write(t, "captions_val2014.json"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	recordtest.Close(t, r)
	rec, err := r.Record(0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rec.Pictures()[0].Open(); err == nil || !strings.Contains(err.Error(), "COCO_val2014_000000000042.jpg") {
		t.Errorf("a picture that is nowhere: %v", err)
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	files["two-annotations.json"] = `{"annotations": [{"question_id": 1, "answers": []}, {"question_id": 1, "answers": []}]}`
	files["no-id.json"] = `{"images": [{"id": 1}], "annotations": [{"caption": "x"}]}`
	for _, c := range []struct{ format, files, want string }{
		{official.Karpathy, "dataset_coco.json", "no split is named, and the file has restval (1), test (1), train (1)"},
		{official.Karpathy, "dataset_coco.json#val", `the split "val" is named`},
		{official.VQAv2, "v2_annotations.json", "the file of questions is missing"},
		{official.VQAv2, "captions_val2014.json", `the row has no "question_id"`},
		{official.VQAv2, "gqa.json", `want an object with the list "questions" or "annotations"`},
		{official.VQAv2, "two-annotations.json", "question_id 1 has two annotations"},
		{official.COCO, "v2_questions.json", `no file of coco: it holds an object with the keys "info"`},
		{official.COCO, "no-id.json", `the row has no "image_id"`},
		{official.GQA, "vizwiz_train.json", "no file of gqa: it holds a list"},
		{official.VisualGenome, "vizwiz_train.json", "no file of visual-genome"},
		{official.Flickr30k, "gqa.json", "line 1: it has no tab"},
		{"mystery", "gqa.json", "want one of aokvqa, coco"},
	} {
		_, err := official.Open(c.format, write(t, c.files), "")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s of %s: got %v, want %q", c.format, c.files, err, c.want)
		}
	}
}
