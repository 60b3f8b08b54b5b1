package tasks_test

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/eval/tasks"
)

func load(t *testing.T, folder string) *tasks.Library {
	t.Helper()
	l, err := tasks.Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestShippedTasks(t *testing.T) {
	l := load(t, "")
	for alias, want := range map[string]string{"vqav2_val": "vqav2-val", "ok_vqa_val2014": "okvqa", "gqa": "gqa-testdev", "vizwiz_vqa_val": "vizwiz-val",
		"textvqa_val": "textvqa-val", "pope_adv": "pope-adversarial", "scienceqa_img": "scienceqa-img", "coco_karpathy_test": "coco-caption",
		"nocaps_val": "nocaps-val", "flickr30k_test": "flickr30k-caption"} {
		if task, err := l.Task(alias); err != nil || task.Name != want {
			t.Errorf("%s: %v, %v, want %s", alias, task, err, want)
		}
	}
	list, err := l.Expand([]string{"pope", "pope_random", "aokvqa-val"})
	var names []string
	for _, task := range list {
		names = append(names, task.Name)
	}
	if want := []string{"pope-random", "pope-popular", "pope-adversarial", "aokvqa-val-da", "aokvqa-val-mc"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("%v, %v, want %v", names, err, want)
	}
	for _, name := range l.Names() {
		task, err := l.Task(name)
		if err != nil {
			t.Fatal(err)
		}
		s, err := task.Show(t.Context(), tasks.Places{Data: []string{"nowhere"}}.WithoutKit())
		if err != nil || len(s.Lines()) == 0 || len(s.Row()) != len(tasks.ListHeader()) {
			t.Errorf("%s: %v, %v", name, s, err)
		}
		if !task.IsGroup() && !strings.HasPrefix(name, "kit-") && (len(s.Missing()) == 0 || s.Expect == 0 && name != "textcaps-val") {
			t.Errorf("%s expects %d samples and misses %v", name, s.Expect, s.Missing())
		}
	}
	if _, err := l.Task("vqav2-vall"); err == nil || !strings.Contains(err.Error(), "did you mean vqav2-val?") {
		t.Errorf("%v", err)
	}
}

// Settings are LAVIS's, by kind of language model.
func TestSettingsByKind(t *testing.T) {
	l := load(t, "")
	vqa, err := l.Task("vqav2-val")
	if err != nil {
		t.Fatal(err)
	}
	t5, opt := vqa.Generate.For(adapters.EncoderDecoder).Options(), vqa.Generate.For(adapters.DecoderOnly).Options()
	if t5.NumBeams != 5 || *t5.LengthPenalty != -1 || *opt.LengthPenalty != 0 || opt.MaxNewTokens != 10 || opt.MinNewTokens != 0 {
		t.Errorf("%+v, %+v", t5, opt)
	}
	q := tasks.Sample{Question: `What's "that" (blue) thing?`}
	if got := vqa.Ask(q, adapters.EncoderDecoder); got != "Question: what's that blue thing? Short answer:" {
		t.Errorf("%q", got)
	}
	if got := vqa.Ask(q, adapters.DecoderOnly); got != "Question: what's that blue thing? Answer:" {
		t.Errorf("%q", got)
	}
	coco, err := l.Task("coco-caption")
	if err != nil {
		t.Fatal(err)
	}
	if o := coco.Generate.For(adapters.DecoderOnly).Options(); o.RepetitionPenalty != 1.15 || *o.LengthPenalty != 0 || o.MaxNewTokens != 26 || o.MinNewTokens != 4 {
		t.Errorf("%+v", o)
	}
}

const own = `name = "own"
title = "own questions"
version = 1
[data]
format = "gqa"
pictures = ["."]
[data.files]
questions = ["q.json"]
[prompt]
default = "{question}"
[generate]
beams = 1
[metric]
name = "gqa"
variant = "official"
`

// Every mistake in a file is named with its line.
func TestMistakes(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{`name = "own"`, `name = "mine"`, `own.toml:1: name: is "mine", want "own" as the file's name says`},
		{`version = 1`, ``, "version: is 0, want a number of at least 1"},
		{`format = "gqa"`, `format = "gqaa"`, "did you mean gqa?"},
		{`questions =`, `annotations =`, "data.files: has no questions, which the format gqa needs"},
		{`beams = 1`, "max_new_tokens = 5\n[generate.decoder-only]\nmin_new_tokens = 6", "generate: decoder-only: min_new_tokens is 6, want at most max_new_tokens, 5"},
		{`beams = 1`, `beam = 1`, "generate.beam: unknown key; did you mean generate.beams?"},
		{`beams = 1`, `beams = "5"`, `generate.beams: is the string "5", want an integer`},
		{`default = "{question}"`, `default = "{frage}"`, "prompt.default: has {frage}, want the fields {question}, {context} or {choices}"},
		{`variant = "official"`, `variant = "offical"`, `metric.variant: is "offical", want one of official, lavis; did you mean official?`},
		{`name = "gqa"`, `name = "captions"`, "metric.variant: is \"official\"; the metric captions has no variants"},
		{`[generate]`, "[rank]\nby = \"sum\"\n[generate]", "want one of the tables [generate], [rank] with by, and [retrieve] with rerank"},
		{`[metric]`, "[[paper]]\nmodel = \"gpt\"\nvalue = 1.0\n[metric]", `paper 1: model is "gpt", want one of blip2-vit-l-opt-2.7b`},
		{`title = "own questions"`, `tasks = ["pope"]`, "title: is empty"},
		{"name = \"gqa\"\nvariant = \"official\"", `name = "pope"`, "metric.name: is pope, which does not score samples of the format gqa, want gqa"},
		{`variant = "official"`, "variant = \"official\"\nby = [\"structurl\"]", `metric.by: is "structurl", want one of kind, structural, semantic; did you mean structural?`},
		{"[generate]\nbeams = 1", "[rank]\nby = \"sum\"", "rank.candidates: is empty, want the texts that are ranked"},
	} {
		text := strings.Replace(own, c.old, c.new, 1)
		if text == own {
			t.Fatalf("%q is not in the task", c.old)
		}
		if _, err := tasks.Parse("own.toml", []byte(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.new, err, c.want)
		}
	}
}

// Candidates of another number or order than the format's would be scored against the wrong answer.
func TestCandidates(t *testing.T) {
	for _, c := range []struct{ task, candidates, want string }{
		{"vsr", `["yes", "no"]`, "want the text of label 0 first"},
		{"hatefulmemes", `["no", "yes", "maybe"]`, "want two texts"},
		{"aokvqa-val-mc", `["no", "yes"]`, "want none: each sample of the format aokvqa has its own"},
	} {
		text, err := os.ReadFile(c.task + ".toml")
		if err != nil {
			t.Fatal(err)
		}
		lines := slices.DeleteFunc(strings.Split(string(text), "\n"), func(line string) bool { return strings.HasPrefix(line, "candidates =") })
		other := strings.Replace(strings.Join(lines, "\n"), `by = "sum"`, "by = \"sum\"\ncandidates = "+c.candidates, 1)
		if _, err := tasks.Parse(c.task+".toml", []byte(other)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s with %s: %v, want %q", c.task, c.candidates, err, c.want)
		}
	}
}

// write writes files and returns their folder.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// A task of the user's folder has its name there, and replaces one that ships.
func TestOwnTasks(t *testing.T) {
	l := load(t, write(t, map[string]string{"own.toml": own, "gqa-testdev.toml": strings.Replace(own, `"own"`, `"gqa-testdev"`, 1)}))
	if task, err := l.Task("own"); err != nil || task.Title != "own questions" {
		t.Errorf("%v, %v", task, err)
	}
	other := filepath.Join(write(t, map[string]string{"own.toml": own + "\n"}), "own.toml")
	if _, err := l.Expand([]string{"own", other}); err == nil || !strings.Contains(err.Error(), "two different tasks have the name own") {
		t.Errorf("%v", err)
	}
	if task, err := l.Task("gqa-testdev"); err != nil || task.Data.Expect != 0 {
		t.Errorf("%v, %v", task, err)
	}
}

// A file that cannot be used is named, and the others go on. A broken copy of a shipped task is not replaced by it.
func TestBrokenOwnTasks(t *testing.T) {
	l := load(t, write(t, map[string]string{
		"own.toml": own, "a.toml": strings.Replace(own, `name = "own"`, "name = \"a\"\naliases = [\"okvqa\"]", 1),
		"pope-random.toml": "name = 1", "b.toml": "name = \"b\"\ntitle = \"a group\"\ntasks = [\"nothing\"]",
	}))
	if task, err := l.Task("own"); err != nil || task.Title != "own questions" {
		t.Errorf("%v, %v", task, err)
	}
	problems := l.Problems()
	wants := []string{"both the name okvqa", `there is no task "nothing"`, "pope-random.toml:1: name"}
	if len(problems) != len(wants) {
		t.Fatalf("%q", problems)
	}
	for i, want := range wants {
		if !strings.Contains(problems[i].Error(), want) {
			t.Errorf("%v, want %q", problems[i], want)
		}
	}
	for name, want := range map[string]string{"a": wants[0], "b": wants[1], "pope-random": wants[2]} {
		if _, err := l.Task(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	if _, err := l.Expand([]string{"pope"}); err == nil || !strings.Contains(err.Error(), wants[2]) {
		t.Errorf("%v, want %q", err, wants[2])
	}
	if task, err := l.Task("okvqa"); err != nil || task.Name != "okvqa" {
		t.Errorf("%v, %v", task, err)
	}
}

// formatCase is a task, files in its layout with one sample, and a check of this sample.
type formatCase struct {
	task  string
	files map[string]string
	check func(s tasks.Sample) bool
}

// formatCases have samples of each official layout, as their data sets publish them.
var formatCases = []formatCase{
	{"vqav2-val", map[string]string{
		"vqav2/v2_OpenEnded_mscoco_val2014_questions.json": `{"data_type":"mscoco","data_subtype":"val2014","questions":[{"question_id":262148000,"image_id":262148,"question":"Where is he looking?"}]}`,
		"vqav2/v2_mscoco_val2014_annotations.json":         `{"annotations":[{"question_id":262148000,"image_id":262148,"question_type":"none of the above","answer_type":"other","answers":[{"answer":"down","answer_id":1},{"answer":"","answer_id":2},{"answer":"down","answer_id":3}]}]}`,
		"coco/val2014/x": "",
	}, func(s tasks.Sample) bool {
		return s.ID == "262148000" && slices.Equal(s.Targets, []string{"down", "", "down"}) && s.Types["question_type"] == "none of the above" && s.Picture.Name == "COCO_val2014_000000262148.jpg"
	}},
	{"gqa-testdev", map[string]string{
		"gqa/testdev_balanced_questions.json": `{"201307251":{"imageId":"n161313","question":"Is it overcast?","answer":"no","isBalanced":true,"groups":{"global":"weather","local":"06-w"},"types":{"structural":"verify","semantic":"global","detailed":"weatherVerify"}}}`,
	}, func(s tasks.Sample) bool {
		return s.ID == "201307251" && s.Types["kind"] == "binary" && s.Types["group"] == "weather" && s.Types["semantic"] == "global" && s.Targets[0] == "no"
	}},
	{"vizwiz-val", map[string]string{
		"vizwiz/val.json": `[{"image":"VizWiz_val_00000000.jpg","question":"Ok?","answers":[{"answer":"unanswerable","answer_confidence":"yes"}],"answer_type":"unanswerable","answerable":0}]`,
	}, func(s tasks.Sample) bool { return s.ID == "VizWiz_val_00000000.jpg" && s.Types["answerable"] == "0" }},
	{"textvqa-val", map[string]string{
		"textvqa/TextVQA_0.5.1_val.json": `{"data":[{"question_id":34602,"image_id":"003a8ae2ef43b901","question":"what brand?","answers":["nous","dakota"]}]}`,
	}, func(s tasks.Sample) bool { return s.ID == "34602" && len(s.Targets) == 2 }},
	{"aokvqa-val-mc", map[string]string{
		"aokvqa/aokvqa_v1p0_val.json": `[{"split":"val","image_id":299207,"question_id":"22jbM6gDxdaMaunuzgrsBB","question":"What?","choices":["a","b","c","d"],"correct_choice_idx":2,"direct_answers":["x","y"],"difficult_direct_answer":true}]`,
		"coco/val2017/x":              "",
	}, func(s tasks.Sample) bool {
		return s.ID == "22jbM6gDxdaMaunuzgrsBB" && s.Right == 2 && slices.Equal(s.Targets, []string{"c"}) && s.Types["difficult"] == "true"
	}},
	{"coco-caption", map[string]string{
		"coco/dataset_coco.json": `{"images":[{"filepath":"val2014","filename":"COCO_val2014_000000391895.jpg","cocoid":391895,"imgid":0,"split":"test","sentences":[{"raw":"A man."},{"raw":"A bike."}]},{"filepath":"train2014","filename":"b.jpg","cocoid":2,"imgid":1,"split":"train","sentences":[{"raw":"no"}]}]}`,
	}, func(s tasks.Sample) bool {
		return s.ID == "391895" && slices.Equal(s.Targets, []string{"A man.", "A bike."})
	}},
	{"nocaps-val", map[string]string{
		"nocaps/nocaps_val_4500_captions.json": `{"images":[{"id":7,"file_name":"0013ea2087020901.jpg","domain":"near-domain"}],"annotations":[{"image_id":7,"id":1,"caption":"A baby."}]}`,
	}, func(s tasks.Sample) bool { return s.ID == "7" && s.Types["domain"] == "near-domain" }},
	{"pope-random", map[string]string{
		"pope/coco_pope_random.json": `{"question_id": 1, "image": "COCO_val2014_000000310196.jpg", "text": "Is there a snowboard in the image?", "label": "yes"}` + "\n",
		"coco/x":                     "",
	}, func(s tasks.Sample) bool {
		return s.ID == "1" && s.Targets[0] == "yes" && s.Question == "Is there a snowboard in the image?"
	}},
	{"scienceqa-img", map[string]string{
		"scienceqa/problems.json":   `{"4":{"question":"Which?","choices":["x","y"],"answer":1,"hint":"Look.","image":"image.png","subject":"natural science","split":"test"},"5":{"question":"No picture","choices":["x"],"answer":0,"hint":"","image":null,"subject":"s","split":"test"}}`,
		"scienceqa/pid_splits.json": `{"test":["5","4"]}`, "scienceqa/images/test/4/image.png": "",
	}, func(s tasks.Sample) bool {
		return s.ID == "4" && s.Right == 1 && s.Context == "Look." && s.Types["subject"] == "natural science"
	}},
	{"mme", map[string]string{
		"mme/color/0001.txt": "Is it red? Please answer yes or no.\tYes\n", "mme/color/0001.jpg": "",
	}, func(s tasks.Sample) bool {
		return s.Targets[0] == "Yes" && s.Types["category"] == "color" && s.Types["picture"] == "color/0001" && strings.HasPrefix(s.Question, "Is it red?")
	}},
	{"vsr", map[string]string{
		"vsr/zeroshot_test.jsonl": `{"image": "000000085637.jpg", "image_link": "http://images.cocodataset.org/train2017/000000085637.jpg", "caption": "The cat is on the mat.", "label": 1, "relation": "on"}` + "\n", "coco/x": "",
	}, func(s tasks.Sample) bool {
		return s.Right == 1 && slices.Equal(s.Choices, []string{"no", "yes"}) && slices.Equal(s.Targets, []string{"yes"}) && s.Types["relation"] == "on"
	}},
	{"hatefulmemes", map[string]string{
		"hatefulmemes/dev_seen.jsonl": `{"id":8291,"img":"img/08291.png","label":0,"text":"white people is this a shooting range"}` + "\n",
	}, func(s tasks.Sample) bool { return s.ID == "8291" && s.Right == 0 }},
	{"flickr30k-retrieval", map[string]string{
		"flickr30k/flickr30k_test.json": `[{"image":"flickr30k-images/1007129816.jpg","caption":["The man.","A hat."]}]`,
	}, func(s tasks.Sample) bool { return slices.Equal(s.Captions, []string{"The man.", "A hat."}) }},
	{"vqav2-test", map[string]string{
		"vqav2/v2_OpenEnded_mscoco_test2015_questions.json": `{"data_type":"mscoco","data_subtype":"test2015","questions":[{"question_id":262144000,"image_id":262144,"question":"Is the ball flying?"}]}`,
		"coco/images/x": "",
	}, func(s tasks.Sample) bool {
		return s.ID == "262144000" && s.Targets == nil && s.Picture.Name == "COCO_test2015_000000262144.jpg"
	}},
	{"vizwiz-test", map[string]string{
		"vizwiz/test.json": `[{"image":"VizWiz_test_00000000.jpg","question":"What is this?"}]`,
	}, func(s tasks.Sample) bool { return s.ID == "VizWiz_test_00000000.jpg" && s.Targets == nil }},
	{"coco2017-caption", map[string]string{
		"coco/annotations/captions_val2017.json": `{"images":[{"id":179765,"file_name":"000000179765.jpg"}],"annotations":[{"image_id":179765,"id":38,"caption":"A black Honda."}]}`,
	}, func(s tasks.Sample) bool {
		return s.ID == "179765" && slices.Equal(s.Targets, []string{"A black Honda."})
	}},
	{"textcaps-val", map[string]string{
		"textcaps/TextCaps_0.1_val.json": `{"data":[{"image_id":"d7ce","set_name":"val","caption_str":"A bottle."},{"image_id":"d7ce","set_name":"val","caption_str":"Red wine."}]}`,
	}, func(s tasks.Sample) bool {
		return s.ID == "d7ce" && slices.Equal(s.Targets, []string{"A bottle.", "Red wine."})
	}},
	{"winoground", map[string]string{
		"winoground/examples.jsonl": `{"id": 0, "image_0": "ex_0_img_0", "image_1": "ex_0_img_1", "caption_0": "an old person kisses a young person", "caption_1": "a young person kisses an old person", "collapsed_tag": "Object"}` + "\n",
	}, func(s tasks.Sample) bool {
		return s.ID == "0" && s.Second != nil && len(s.Captions) == 2 && s.Types["tag"] == "Object"
	}},
}

func TestSamplesOfEachFormat(t *testing.T) {
	for _, c := range formatCases {
		task, err := load(t, "").Task(c.task)
		if err != nil {
			t.Fatal(err)
		}
		short := *task
		short.Data.Expect = 1
		dir := write(t, c.files)
		for _, folder := range task.Data.Pictures {
			if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		files, err := task.Locate(t.Context(), tasks.Places{Data: []string{dir}})
		if err != nil || files.Err(c.task) != nil {
			t.Fatalf("%s: %v, %v", c.task, err, files.Err(c.task))
		}
		set, err := tasks.Open(&short, files)
		if err != nil {
			t.Errorf("%s: %v", c.task, err)
			continue
		}
		s, err := set.Sample(0)
		if err != nil || !c.check(s) {
			t.Errorf("%s: %+v, %v", c.task, s, err)
		}
		if err := set.Close(); err != nil {
			t.Error(err)
		}
		if task.Data.Expect == 0 {
			continue
		}
		if _, err := tasks.Open(task, files); err == nil || !strings.Contains(err.Error(), "1 samples, want ") {
			t.Errorf("%s: %v, want an error about the number of samples", c.task, err)
		}
	}
}

// An error names the files that are missing, all their names, and the folders.
func TestMissingFiles(t *testing.T) {
	task, err := load(t, "").Task("okvqa")
	if err != nil {
		t.Fatal(err)
	}
	files, err := task.Locate(t.Context(), tasks.Places{Data: []string{"here", "there"}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"okvqa: 3 of 3 files are not in here, there", "OpenEnded_mscoco_val2014_questions.json or", "annotations (", "pictures ("}
	for _, w := range want {
		if err := files.Err("okvqa"); err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("%v, want %q", err, w)
		}
	}
}

// Files may be compressed with gzip. Their copies go when the set is closed.
func TestCompressedFiles(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	task, err := tasks.Parse("own.toml", []byte(own))
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	z := gzip.NewWriter(&text)
	if _, err := z.Write([]byte(`{"1":{"imageId":"n1","question":"Is it?","answer":"no"}}`)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for content, want := range map[string]string{text.String(): "", "no gzip": "own: ", text.String()[:30]: "cannot be decompressed"} {
		files, err := task.Locate(t.Context(), tasks.Places{Data: []string{write(t, map[string]string{"q.json.gz": content})}})
		if err != nil || files.Err("own") != nil {
			t.Fatalf("%v, %v", err, files.Err("own"))
		}
		set, err := tasks.Open(task, files)
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if s, err := set.Sample(0); err != nil || s.ID != "1" || s.Targets[0] != "no" {
			t.Errorf("%+v, %v", s, err)
		}
		if err := set.Close(); err != nil {
			t.Error(err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "bridge-eval-*")); err != nil || len(left) > 0 {
		t.Errorf("%v are left, %v", left, err)
	}
}

// Files of a split without answers are refused before a model is asked.
func TestSplitsWithoutAnswers(t *testing.T) {
	for name, file := range map[string]string{
		"vizwiz-val": "vizwiz/val.json", "gqa-testdev": "gqa/testdev_balanced_questions.json", "aokvqa-val-da": "aokvqa/aokvqa_v1p0_val.json",
		"coco2017-caption": "coco/annotations/captions_val2017.json",
	} {
		task, err := load(t, "").Task(name)
		if err != nil {
			t.Fatal(err)
		}
		short := *task
		short.Data.Expect = 1
		row := `{"image":"1.jpg","imageId":"1","image_id":1,"question_id":"1","question":"what?","choices":["a","b"]}`
		text := "[" + row + "]"
		switch name {
		case "gqa-testdev":
			text = `{"1":` + row + "}"
		case "coco2017-caption":
			text = `{"images":[{"id":1,"file_name":"1.jpg"}],"annotations":[]}`
		}
		files, err := task.Locate(t.Context(), tasks.Places{Data: []string{write(t, map[string]string{file: text, "coco/images/x": "", "gqa/images/x": "", "vizwiz/images/x": ""})}})
		if err != nil || files.Err(name) != nil {
			t.Fatalf("%v, %v", err, files.Err(name))
		}
		if _, err := tasks.Open(&short, files); err == nil || !strings.Contains(err.Error(), "has no right answers") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
