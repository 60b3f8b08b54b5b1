package recipes

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/modular-bridging/bridge/data"
)

func TestDataProblems(t *testing.T) {
	testProblems(t, []problemTest{
		{"data set", "tiny-stage1", []string{"data.train=train", "data.eval={images='x'}"}, []string{`data.train: is "train", want one of kit:train, kit:held-out, kit:fresh, kit:choose, kit:report, kit:style, kit:three-train, kit:three, or a table`, "data.eval.annotations: is missing"}},
		{"split of the kit", "tiny-stage1", []string{"data.train=kit:trian"}, []string{`data.train: is "kit:trian"`, "did you mean kit:train?"}},
		{"fewer pictures than a batch", "tiny-stage1", []string{"data.train={id='kit:train', pictures=8}"}, []string{"data.train.pictures: is 8, want at least optimizer.batch, 64"}},
		{"a split smaller than a batch", "tiny-stage1", []string{"data.train=kit:fresh", "optimizer.batch=512"}, []string{"optimizer.batch: is 512, want at most 400, the pictures of kit:fresh"}},
		{"more pictures than there are", "tiny-stage1", []string{"data.eval={id='kit:held-out', pictures=601}"}, []string{"data.eval.pictures: is 601, want between 1 and the 600 of kit:held-out"}},
		{"evaluated on what it learns", "tiny-stage1", []string{"data.eval={id='kit:train', pictures=100}"}, []string{"data.eval: is the same data as data.train"}},
		{"evaluated on the same file", "vit-l-stage1", []string{"data.eval={annotations='./data/train.json', images='x'}"}, []string{"data.eval: is the same data as data.train"}},
		{"no captions in stage 1", "vit-l-stage1", []string{"data.train={questions='q.json', images='x'}", "data.eval={questions='e.json', images='x'}"},
			[]string{"data.train.annotations: is missing, but without", "data.eval.annotations: is missing, but stage 1"}},
		{"neither captions nor questions asked", "vit-l-opt-2.7b-stage2", []string{"data.train={questions='q.json', images='x'}"}, []string{"data.train.annotations: is missing, but without data.questions"}},
		{"all similar", "tiny-stage1", []string{"data.similar=0.995"}, []string{"data.similar: is 0.995 of optimizer.batch, 64, which is all of it; want at most 63 of 64"}},
		{"questions without a file", "vit-l-opt-2.7b-stage2", []string{"data.questions=0.5"}, []string{"data.questions: is 0.5, but data.train has no file"}},
		{"bad pictures", "tiny-stage1", []string{"data.max_bad=some"}, []string{`data.max_bad: is "some", want a count such as 25 or a percentage such as "1%"`}},
		{"more bad pictures than there are", "tiny-stage1", []string{`data.max_bad="120%"`}, []string{`data.max_bad: is "120%", want a percentage from 0% to 100%`}},
		{"a fraction of bad pictures", "tiny-stage1", []string{"data.max_bad=0.01"}, []string{`data.max_bad: is the number 0.01, want a count such as 25, or a percentage in quotes such as "1%"`}},
		{"no number of bad pictures", "tiny-stage1", []string{"data.max_bad=true"}, []string{"data.max_bad: is true, want a count such as 25, or a percentage in quotes"}},
	})
}

// Every key that can hold a path says that ~ is not expanded.
func TestPathsThatBeginWithTilde(t *testing.T) {
	t.Setenv("HOME", "/home/me")
	r := load(t, "vit-l-opt-2.7b-stage2")
	for _, k := range r.pathKeys() {
		t.Run(k.key, func(t *testing.T) {
			_, err := Load("vit-l-opt-2.7b-stage2", k.key+"=~/mine")
			wantProblems(t, err, k.key+`: is "~/mine", but ~ is not expanded in a recipe`, `want "/home/me/mine"`)
		})
	}
	file := filepath.Join(t.TempDir(), "matrix.toml")
	must(t, os.WriteFile(file, []byte("recipe = '~/r.toml'\nfrom = '~/b'\nencoders = ['a']\nllms = ['b']\n[options.warm]\nfrom = '~you/b'\n"), 0o644))
	_, err := LoadMatrix(file)
	wantProblems(t, err, `recipe: is "~/r.toml"`, `from: is "~/b"`, `options.warm.from: is "~you/b"`, "want the whole path")
}

func TestMaxBad(t *testing.T) {
	for set, want := range map[string]data.MaxBad{"data.max_bad=25": "25", `data.max_bad="25"`: "25", "data.max_bad=2.5%": "2.5%", "run.keep=2": ""} {
		r := load(t, "tiny-stage1", set)
		if r.Data.MaxBad != want {
			t.Errorf("%s: got %q, want %q", set, r.Data.MaxBad, want)
		}
	}
}

func TestQuestionsAlone(t *testing.T) {
	r := load(t, "vit-l-opt-2.7b-stage2", "data.train={questions='q.json', images='x'}", "data.questions=1")
	if r.Data.Train.Questions != "q.json" || r.Data.Train.Annotations != "" {
		t.Errorf("data %+v", r.Data.Train)
	}
}
