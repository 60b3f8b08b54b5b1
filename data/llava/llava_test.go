package llava_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/internal/recordtest"
	"github.com/modular-bridging/bridge/data/llava"
	"github.com/modular-bridging/bridge/data/record"
)

const conversations = `[
 {"id": "a1", "image": "coco/1.jpg", "conversations": [{"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "A dog.\n"}]},
 {"id": 7, "image": "2.jpg", "model": "", "conversations": [{"from": "human", "value": "What is it?\n<image>"}, {"from": "gpt", "value": "A cat."},
   {"from": "human", "value": "Sure?"}, {"from": "gpt", "value": "Yes."}]},
 {"id": "text", "conversations": [{"from": "system", "value": "Be brief."}, {"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hi"}]},
 {"id": "two", "image": ["1.jpg", "2.jpg"], "conversations": [{"from": "user", "value": "<image> and <image>: which is red?"}, {"from": "assistant", "value": "The first"}]},
 {"id": "late", "image": "3.jpg", "conversations": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hi"}, {"from": "human", "value": "<image>\nAnd this?"}, {"from": "gpt", "value": "A tree"}]},
 {"id": "empty", "image": "", "conversations": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hi"}]},
 {"conversations": [{"from": "human", "value": "no id"}, {"from": "gpt", "value": "Hi"}]},
 {"id": "last", "image": null, "conversations": [{"from": "human", "value": "no answer to the last"}, {"from": "gpt", "value": "Hi"}, {"from": "human", "value": "Bye"}]},
 {"id": "b1", "image": "1.jpg", "conversations": [{"from": "human", "value": "no tag"}, {"from": "gpt", "value": "Hi"}]},
 {"id": "b2", "image": "1.jpg", "conversations": [{"from": "human", "value": "<image><image>"}, {"from": "gpt", "value": "Hi"}]},
 {"id": "b3", "conversations": [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "Hi"}]},
 {"id": "b4", "conversations": [{"from": "gpt", "value": "Hi"}]},
 {"id": "b5", "conversations": [{"from": "human", "value": "Hi"}]},
 {"id": "b6", "conversations": [{"from": "human", "value": "Hi"}, {"from": "human", "value": "Hi"}]},
 {"id": "b7", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": 3}]},
 {"id": "b8", "conversations": [{"from": "tool", "value": "Hi"}]},
 {"id": "b9", "conversations": "Hi"},
 {"id": "b10", "image": {"url": "1.jpg"}, "conversations": []},
 {"id": "b11", "image": "../1.jpg", "conversations": []},
 {"id": "b12", "image": "https://example.com/1.jpg", "conversations": []},
 {"id": "b13", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "<image>"}]},
 {"id": "b14", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": " "}]},
 {"id": "b15", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hi"}, {"from": "system", "value": "late"}]},
 3,
 {"id": "b16", "conversations": [{"from": "human" "value": "Hi"}]}
]`

var records = []string{
	`a1 : <coco/1.jpg> question"What is it?" answer"A dog.\n"!`,
	`7 : question"What is it?" <2.jpg> answer"A cat."! question"Sure?" answer"Yes."!`,
	`text : system"Be brief." question"Hello" answer"Hi"!`,
	`two : <1.jpg> question" and " <2.jpg> question": which is red?" answer"The first"!`,
	`late : question"Hello" answer"Hi"! <3.jpg> question"And this?" answer"A tree"!`,
	`empty : question"Hello" answer"Hi"!`,
	`6 : question"no id" answer"Hi"!`,
	`last : question"no answer to the last" answer"Hi"! question"Bye"`,
	`bad b1: the texts have 0 tags <image>, and the row has 1 pictures`,
	`bad b2: the texts have 2 tags <image>, and the row has 1 pictures`,
	`bad b3: the texts have 1 tags <image>, and the row has 0 pictures`,
	`bad b4: turn 0: an answer ("gpt") follows no question`,
	`bad b5: the conversation has no answer`,
	`bad b6: turn 1: a question follows a question`,
	`bad b7: turn 1: "value" is the number 3, want a text`,
	`bad b8: turn 0: "from" is "tool", want human, gpt or system`,
	`bad b9: "conversations" is the text "Hi", want a list of turns`,
	`bad b10: "image" is an object`,
	`bad b11: the picture "../1.jpg" leaves the folder of pictures`,
	`bad b12: the picture "https://example.com/1.jpg" is a URL`,
	`bad b13: turn 1: the answer has the tag <image>`,
	`bad b14: turn 1: the answer is empty`,
	`bad b15: turn 2: a system turn follows others`,
	`bad : the row (line 26) is the number 3, want an object`,
	`bad : the row (line 27) is no JSON: invalid character`,
}

func TestConversations(t *testing.T) {
	r, err := llava.Open([]string{recordtest.File(t, "x.json", conversations)}, "pictures")
	if err != nil {
		t.Fatal(err)
	}
	recordtest.Close(t, r)
	recordtest.Compare(t, recordtest.All(t, r), records)
}

func TestReasonsAreCounted(t *testing.T) {
	r, err := llava.Open([]string{recordtest.File(t, "x.json", conversations)}, "pictures")
	if err != nil {
		t.Fatal(err)
	}
	recordtest.Close(t, r)
	for row, want := range map[int]record.Why{8: record.Tags, 12: record.NoTarget, 13: record.Damaged, 18: record.MissingPicture} {
		var bad *record.BadRecord
		if _, err := r.Record(row); !errors.As(err, &bad) || bad.Why != want {
			t.Errorf("row %d: %v, want the reason %q", row, err, want)
		}
	}
}

func TestLinesAreReadAsTheListIs(t *testing.T) {
	var lines []string
	for _, line := range strings.Split(strings.Trim(conversations, "[]\n"), ",\n {") {
		lines = append(lines, "{"+strings.TrimLeft(strings.ReplaceAll(line, "\n", " "), " {"))
	}
	r, err := llava.Open([]string{recordtest.File(t, "x.jsonl", strings.Join(lines[:5], "\n"))}, "pictures")
	if err != nil {
		t.Fatal(err)
	}
	recordtest.Close(t, r)
	recordtest.Compare(t, recordtest.All(t, r), records[:5])
	one, err := llava.Open([]string{recordtest.File(t, "one.jsonl", lines[0])}, "pictures")
	if err != nil {
		t.Fatal(err)
	}
	recordtest.Close(t, one)
	recordtest.Compare(t, recordtest.All(t, one), records[:1])
}

// The key is the id as the file writes it, or else the number of the row.
func TestKeysAreIDs(t *testing.T) {
	var rows []string
	ids := []string{`"a"`, `7`, `7.0`, `12345678901234567890123`, `null`, `true`, `""`, `"a"`}
	for _, id := range ids {
		rows = append(rows, fmt.Sprintf(`{"id": %s, "conversations": [{"from": "human", "value": "Hi."}, {"from": "gpt", "value": "Hello."}]}`, id))
	}
	r, err := llava.Open([]string{recordtest.File(t, "x.json", "["+strings.Join(rows, ",")+"]")}, "")
	if err != nil {
		t.Fatal(err)
	}
	recordtest.Close(t, r)
	for i, want := range []string{"a", "7", "7.0", "12345678901234567890123", "4", "5", "6", "a"} {
		if rec, err := r.Record(i); err != nil || rec.Key != want {
			t.Errorf("the id %s gives the key %q (%v), want %q", ids[i], rec.Key, err, want)
		}
	}
}

func TestDamagedLineIsABadRecord(t *testing.T) {
	line := `{"conversations": [{"from": "human", "value": "Hi."}, {"from": "gpt", "value": "Hello."}]}` + "\n"
	r, err := llava.Open([]string{recordtest.File(t, "x.jsonl", line+line[:30]+"\n"+line)}, "pictures")
	if err != nil {
		t.Fatal(err)
	}
	recordtest.Close(t, r)
	recordtest.Compare(t, recordtest.All(t, r), []string{
		`0 : question"Hi." answer"Hello."!`, `bad : the row (line 2) is no JSON`, `2 : question"Hi." answer"Hello."!`})
}

func TestFilesThatAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{"info": 1}`:                "holds one object without conversations",
		`[{"conversations": [`:       "is cut off: it ends at byte 20 (line 1)",
		`[]`:                         "holds no row",
		``:                           "is empty, want JSON",
		`[{"conversations": []}] []`: "after the end of the list",
		`[{"conversations": []} {}]`: `found '{', want ',' or ']'`,
	} {
		_, err := llava.Open([]string{recordtest.File(t, "x.json", text)}, "")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "x.json") {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	if _, err := llava.Open([]string{"gone.json"}, ""); adapters.KindOf(err) != adapters.NotFound {
		t.Errorf("a file that is not there: %v", err)
	}
}
