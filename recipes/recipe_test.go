package recipes

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestRecipeProblems(t *testing.T) {
	testProblems(t, []problemTest{
		{"several at once, with lines", "tiny-stage2-opt", []string{"optimizer.lr=2", "optimizer.accumulate=7", "evaluation.captions=-1"},
			[]string{"--set optimizer.lr=2: optimizer.lr: is 2, want a learning rate", "accumulate: is 7, want a divisor of optimizer.batch, 64", "captions: is -1"}},
		{"stage 1 with a language model", "tiny-stage2-opt", []string{"stage=1"}, []string{"language: is given, but stage 1", "questions: is 0.35, but stage 1", "objective.name", "captions"}},
		{"bridge of the kit", "tiny-stage2-opt", []string{"from=kit:stag1"}, []string{`from: is "kit:stag1", want one of kit:stage1, kit:stage2`, "did you mean kit:stage1?"}},
		{"bridge that is not there", "tiny-stage2-opt", []string{"from=runs/none"}, []string{"from: is ", "which is not a folder"}},
		{"name that is a path", "tiny-stage1", []string{"name=../../x"}, []string{`name: is "../../x", want a name without folders`}},
		{"name that is the folder above", "tiny-stage1", []string{"name=.."}, []string{`name: is "..", want a name without folders`}},
	})
}

func TestShippedRecipes(t *testing.T) {
	workplace(t)
	for _, name := range Shipped() {
		t.Run(name, func(t *testing.T) {
			text, err := Text(name)
			if err != nil {
				t.Fatal(err)
			}
			header := strings.Join(Header(text), "\n")
			for _, mark := range []string{"\nCommand:  bridge ", "\nHardware: ", "\nTime:     ", "\nResult:   "} {
				if !strings.Contains(header, mark) {
					t.Errorf("the header has no line %q", strings.TrimSpace(mark))
				}
			}
			if !strings.Contains(header, "bridge train "+name+" ") && !strings.Contains(header, "--recipe "+name+" ") {
				t.Errorf("the header's command runs another recipe:\n%s", header)
			}
			r := load(t, name)
			if r.Name != name {
				t.Errorf("name = %q, want %q, the file's", r.Name, name)
			}
			plan := resolve(t, r).Plan()
			if len(plan.Phases) == 0 || plan.Seed == 0 {
				t.Errorf("plan %+v", plan)
			}
		})
	}
}

// The resolved recipe in a run folder loads to the same value again.
func TestResolvedRecipesLoadAgain(t *testing.T) {
	workplace(t)
	for _, name := range Shipped() {
		first := resolve(t, load(t, name, "optimizer.betas=[0.9, 0.999]"))
		file := filepath.Join(t.TempDir(), "recipe.toml")
		encoded, err := first.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, encoded, 0o644); err != nil {
			t.Fatal(err)
		}
		loaded := load(t, file)
		second := resolve(t, loaded)
		first.doc, loaded.doc, second.doc = nil, nil, nil
		if !reflect.DeepEqual(&first.Recipe, loaded) {
			t.Errorf("%s: loaded %+v, want %+v", name, loaded, first.Recipe)
		}
		if !reflect.DeepEqual(first.Recipe, second.Recipe) || planText(t, first) != planText(t, second) {
			t.Errorf("%s: resolved again %+v, want %+v", name, second.Recipe, first.Recipe)
		}
	}
}

// planText is a recipe's plan as a checkpoint holds it, and as resumed runs compare it.
func planText(t *testing.T, r *Resolved) string {
	t.Helper()
	text, err := json.Marshal(r.Plan())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
