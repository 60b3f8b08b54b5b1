package lavis_test

import (
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/data/internal/recordtest"
	"github.com/modular-bridging/bridge/data/lavis"
)

func TestEntriesOfAList(t *testing.T) {
	r, err := lavis.Open([]string{recordtest.File(t, "x.json", `[
		{"image": "1.jpg", "caption": "a dog", "image_id": "coco_7"},
		{"image": "2.jpg", "caption": ["one", "two", " "], "image_id": 7.0, "score": NaN},
		{"image": "3.jpg", "question": "how many?", "answer": ["2", "two", "2"], "question_id": 5, "kind": "count"},
		{"image": "4.jpg", "question": "what?", "answer": "a cat"},
		{"image": "5.jpg", "caption": null},
		{"image": "../6.jpg", "caption": "x"},
		{"image": "7.jpg", "caption": "x", "question": "what?", "answer": "y"},
		{"image": "8.jpg", "caption": ""}
	]`), recordtest.File(t, "y.json", `[{"image": "9.jpg", "caption": "of the second file"}]`)}, "pictures")
	if err != nil {
		t.Fatal(err)
	}
	recordtest.Close(t, r)
	recordtest.Compare(t, recordtest.All(t, r), []string{
		`0 coco_7: <1.jpg> "a dog"!`,
		`1 7: <2.jpg> "one"/"two"!`,
		`2 : <3.jpg> question"how many?"(count) answer"2"×2/"two"!`,
		`3 : <4.jpg> question"what?" answer"a cat"!`,
		`bad : entry 4 (line 6): "caption" is null, want a text or a list of texts`,
		`bad : the picture "../6.jpg" leaves the folder of pictures`,
		`bad : the entry has both a caption and a question`,
		`7 : <8.jpg>`,
		`8 : <9.jpg> "of the second file"!`,
	})
}

func TestLinesAndObjects(t *testing.T) {
	lines, err := lavis.Open([]string{recordtest.File(t, "x.jsonl", "{\"image\": \"1.jpg\", \"caption\": \"a\"}\n{\"image\": \"2.jpg\", \"caption\": \"b\"}\n")}, "")
	if err != nil {
		t.Fatal(err)
	}
	recordtest.Close(t, lines)
	recordtest.Compare(t, recordtest.All(t, lines), []string{`0 : <1.jpg> "a"!`, `1 : <2.jpg> "b"!`})
	object, err := lavis.Open([]string{recordtest.File(t, "x.json", `{"id1": {"image": "1.jpg", "caption": "a"}, "id2": {"image": "2.jpg"}}`)}, "")
	if err != nil {
		t.Fatal(err)
	}
	recordtest.Close(t, object)
	recordtest.Compare(t, recordtest.All(t, object), []string{`0 : <1.jpg> "a"!`, `bad entry 1 (line 1): "caption" is missing`})
}

func TestTables(t *testing.T) {
	csv := "image,caption,image_id\n1.jpg,a dog,7\n2.jpg,\"a \"\"red\"\" dog,\nand a cat\",8\n3.jpg,say \"hi\" there,\n,no picture,9\n4.jpg,one too few\n5.jpg,,\n"
	r, err := lavis.OpenTables([]string{recordtest.File(t, "x.csv", csv)}, "pictures")
	if err != nil {
		t.Fatal(err)
	}
	recordtest.Close(t, r)
	recordtest.Compare(t, recordtest.All(t, r), []string{
		`0 7: <1.jpg> "a dog"!`,
		`1 8: <2.jpg> "a \"red\" dog,\nand a cat"!`,
		`2 : <3.jpg> "say \"hi\" there"!`,
		`bad : line 6: "image" is empty`,
		`bad : line 7: the row has 2 cells, and the header 3`,
		`5 : <5.jpg>`,
	})
	tsv, err := lavis.OpenTables([]string{recordtest.File(t, "x.tsv", "\ufeffimage\tquestion\tanswer\tKind\n1.jpg\thow many, or none?\t[\"2\", \"2\", \"two\"]\tx\n2.jpg\twhat?\ta cat\t\n3.jpg\t\"Why\" so?\t\"A\" dog\t\n4.jpg\twho?\t5\" men\t\n")}, "")
	if err != nil {
		t.Fatal(err)
	}
	recordtest.Close(t, tsv)
	recordtest.Compare(t, recordtest.All(t, tsv), []string{
		`0 : <1.jpg> question"how many, or none?" answer"2"×2/"two"!`,
		`1 : <2.jpg> question"what?" answer"a cat"!`,
		`2 : <3.jpg> question"Why so?" answer"A dog"!`,
		`3 : <4.jpg> question"who?" answer"5\" men"!`,
	})
	if w := tsv.Warnings(); len(w) != 1 || !strings.Contains(w[0], `"Kind" is not read as "kind"`) {
		t.Errorf("warnings %q", w)
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"x.json", `[{"images": "1.jpg"}, {"images": "2.jpg"}]`, `"image" is missing`},
		{"x.json", `[{"id": 1, "conversations": []}]`, "the layout is LLaVA's"},
		{"x.csv", "picture,caption\n1.jpg,x\n", `no column "image"; its columns are ["picture" "caption"]`},
		{"x.csv", "image,captions\n1.jpg,x\n", `rename "captions" to "caption"`},
		{"x.csv", "image,caption\n", "holds no row below its header"},
		{"x.csv", "", "is empty, want a table with a header"},
		{"x.csv", "image,caption\n1.jpg,\"a dog\n", "line 2: a quotation mark of this row is not closed"},
		{"x.csv", "image,caption\n1.jpg,\"a dog\n2.jpg,\"two\"\n", "line 2: a quotation mark of this row is not closed"},
	} {
		path := recordtest.File(t, c.name, c.text)
		var err error
		if lavis.IsTable(path) {
			_, err = lavis.OpenTables([]string{path}, "")
		} else {
			_, err = lavis.Open([]string{path}, "")
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.name) {
			t.Errorf("%s: got %v, want %q", c.text, err, c.want)
		}
	}
}

func TestDigestsTellFilesApart(t *testing.T) {
	digest := func(text string) string {
		r, err := lavis.Open([]string{recordtest.File(t, "x.json", text)}, "")
		if err != nil {
			t.Fatal(err)
		}
		recordtest.Close(t, r)
		return r.Digest()
	}
	one := `[{"image": "1.jpg", "caption": "a"}]`
	first := digest(one)
	if digest(one) != first || first == digest(strings.Replace(one, `"a"`, `"b"`, 1)) {
		t.Error("equal files have different digests, or different files one")
	}
}
