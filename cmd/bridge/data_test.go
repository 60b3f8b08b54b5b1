package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/internal/testenv"
)

// conversations writes a LLaVA file with good records, one whose picture is missing and one
// whose tags do not match, and a recipe that trains on it and is evaluated on the kit.
func conversations(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	write := func(name string, content []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("1.png", blocks(t, 1, false))
	write("2.png", blocks(t, 2, false))
	write("llava.json", []byte(`[
		{"id": "one", "image": "1.png", "conversations": [{"from": "human", "value": "<image>\nwhat?"}, {"from": "gpt", "value": "blocks"}]},
		{"id": 2, "image": "gone.png", "conversations": [{"from": "human", "value": "<image>\nwhat?"}, {"from": "gpt", "value": "blocks"}]},
		{"id": "three", "image": ["1.png", "2.png"], "conversations": [{"from": "human", "value": "<image>\n<image>\nthe same?"}, {"from": "gpt", "value": "no"},
			{"from": "human", "value": "sure?"}, {"from": "gpt", "value": "yes"}]},
		{"id": "four", "image": "2.png", "conversations": [{"from": "human", "value": "no tag"}, {"from": "gpt", "value": "x"}]},
		{"id": "five", "conversations": [{"from": "human", "value": "how many?"}, {"from": "gpt", "value": "two"}]}]`))
	write("r.toml", []byte(`name = "r"
stage = 2
from = "kit:stage1"
[vision]
id = "tiny-vit"
[language]
id = "tiny-opt"
[data]
questions = 1
text_only = "train"
max_bad = "50%"
[data.train]
source = "llava.json"
images = "."
[data.eval]
id = "kit:held-out"
pictures = 4
[optimizer]
lr = 1e-3
steps = 2
batch = 2
[run]
backend = "go"
feature_cache = false
`))
	return dir
}

// The keys of the JSON are an interface for other programs.
func TestDataCheckAndShowOfASource(t *testing.T) {
	dir := conversations(t)
	testenv.Cache(t)
	t.Chdir(dir)
	stdout, _ := mustExit(t, exitDone, "data", "check", "llava.json", "--images", dir, "--json", "--html", "page.html")
	var found struct {
		Format                         string
		Records, Rows, Pictures, Texts int
		Bad                            []struct{ Key, Reason string }
	}
	if err := json.Unmarshal([]byte(stdout), &found); err != nil || strings.Count(stdout, "\n") != 1 {
		t.Fatalf("%v: want one object in a line:\n%s", err, stdout)
	}
	if found.Format != "llava" || found.Records != 3 || found.Rows != 5 || found.Pictures != 2 || found.Texts != 8 || len(found.Bad) != 2 ||
		found.Bad[0].Key != "2" || !strings.Contains(found.Bad[0].Reason, "gone.png") || found.Bad[1].Key != "four" || found.Bad[1].Reason == "" {
		t.Errorf("found %s", stdout)
	}
	if page, err := os.ReadFile("page.html"); err != nil || !strings.Contains(string(page), "data:image/jpeg") {
		t.Errorf("the page has no picture (%v)", err)
	}
	text, _ := mustExit(t, exitDone, "data", "check", "llava.json", "--images", dir)
	for _, want := range []string{"3 of 5 can be used", "2 distinct, 3 in records", "1: picture is missing", "key four"} {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %q:\n%s", want, text)
		}
	}
	stdout, _ = mustExit(t, exitDone, "data", "show", "llava.json", "2", "--images", dir, "--json")
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], `{"key":"one","parts":[{"picture":{"width":64,"height":64,"sha256":"`) ||
		!strings.HasSuffix(lines[0], `"}},{"text":"what?"},{"text":"blocks","target":true}]}`) || !strings.HasPrefix(lines[1], `{"key":"three"`) {
		t.Errorf("shown:\n%s", stdout)
	}
	if stdout, _ = mustExit(t, exitDone, "data", "show", "llava.json", "0", "--images", dir, "--json"); stdout != "" {
		t.Errorf("no records were asked for:\n%s", stdout)
	}
	if err := os.WriteFile("a.csv", []byte("image,caption,Kind\n1.png,blocks,x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"check", "show"} {
		if _, stderr := mustExit(t, exitDone, "data", command, "a.csv"); !strings.Contains(stderr, "is not read as") {
			t.Errorf("%s does not warn of a column: %s", command, stderr)
		}
	}
	for wrong, args := range map[string][]string{
		"N is \"no\"":              {"data", "show", "llava.json", "no"},
		"--images is for a source": {"data", "check", "r.toml", "--images", "x"},
		"--set is for a recipe":    {"data", "check", "llava.json", "--set", "seed=1"},
		"--orientation is \"up\"":  {"data", "show", "llava.json", "--orientation", "up"},
		"data: missing command":    {"data"},
	} {
		if _, stderr := mustExit(t, exitUsage, args...); !strings.Contains(stderr, wrong) {
			t.Errorf("%q: %s, want %q", args, stderr, wrong)
		}
	}
}

func TestDataCheckAndShowOfARecipe(t *testing.T) {
	testenv.Cache(t)
	t.Chdir(conversations(t))
	stdout, _ := mustExit(t, exitDone, "data", "check", "r.toml", "--json")
	var found struct {
		Recipe      string
		Train, Eval []struct {
			Records int
			Tokens  struct {
				LLM   string
				Max   int
				Limit int
			}
		}
		Overlap *int `json:"overlap_pictures"`
	}
	if err := json.Unmarshal([]byte(stdout), &found); err != nil {
		t.Fatal(err)
	}
	if found.Recipe != "r" || len(found.Train) != 1 || found.Train[0].Records != 3 || len(found.Eval) != 1 || found.Eval[0].Records != 4 ||
		found.Overlap == nil || *found.Overlap != 0 || found.Train[0].Tokens.LLM != "tiny-opt" || found.Train[0].Tokens.Max == 0 || found.Train[0].Tokens.Limit != 32 {
		t.Errorf("found %s", stdout)
	}
	stdout, _ = mustExit(t, exitDone, "data", "show", "r.toml", "5")
	for _, want := range []string{"64 x 64 after preparation", `"[picture 0]Question: what? Answer:"`, `" blocks" (`,
		`"[picture 0][picture 1]Question: the same? Answer: no Question: sure? Answer:"`, `"Question: how many? Answer:"`} {
		if !strings.Contains(stdout, want) {
			t.Errorf("shown:\n%s\nwant %q", stdout, want)
		}
	}
}

// A run on a source records what it left out and its data, and a run on other data is refused.
func TestTrainOnASource(t *testing.T) {
	testenv.Cache(t)
	t.Chdir(conversations(t))
	_, stderr := mustExit(t, exitDone, "train", "r.toml", "--out", "run", "--set", "optimizer.steps=3")
	if !strings.Contains(stderr, "left out") {
		t.Errorf("the log does not say what was left out:\n%s", stderr)
	}
	var left struct {
		Train []struct{ Why, Key, File, Reason string }
	}
	text, err := os.ReadFile("run/left-out.json")
	if err == nil {
		err = json.Unmarshal(text, &left)
	}
	if err != nil || len(left.Train) == 0 || left.Train[0].Key == "" || filepath.Base(left.Train[0].File) != "llava.json" || left.Train[0].Why == "" {
		t.Errorf("left-out.json: %s (%v)", text, err)
	}
	if text, err := os.ReadFile("run/data-train.json"); err != nil || !strings.Contains(string(text), `"llava"`) {
		t.Errorf("data-train.json: %s (%v)", text, err)
	}
	source, err := os.ReadFile("llava.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("llava.json", []byte(strings.Replace(string(source), `"blocks"`, `"stones"`, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, stderr := mustExit(t, exitFailed, "train", "run/recipe.toml", "--out", "run", "--resume"); !strings.Contains(stderr, "other data") {
		t.Errorf("resumed on other data: %s", stderr)
	}
	_, stderr = mustExit(t, exitFailed, "train", "r.toml", "--out", "captions", "--set", "data.questions=0")
	if !strings.Contains(stderr, "none of the first 5 records can be used") || !strings.Contains(stderr, "data.questions") {
		t.Errorf("questions alone without data.questions: %s", stderr)
	}
}
