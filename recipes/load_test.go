package recipes

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/stricttoml"
)

func TestUnknownKeys(t *testing.T) {
	testProblems(t, []problemTest{
		{"unknown key", "tiny-stage1", []string{"optimiser.lr=1"}, []string{"optimiser: unknown key; did you mean optimizer?"}},
		{"unknown keys and types", "tiny-stage1", []string{"vision.layers=fast", "seed=x"}, []string{"vision.layers: unknown key", `seed: is the string "x"`}},
	})
}

func TestProblemsNameTheLine(t *testing.T) {
	text, err := Text("tiny-stage1")
	if err != nil {
		t.Fatal(err)
	}
	broken := strings.Replace(string(text), "lr = 1.2e-3", "lr = \"high\"", 1)
	line := 1 + strings.Count(broken[:strings.Index(broken, "lr = \"high\"")], "\n")
	_, err = Parse("my.toml", []byte(broken))
	var problems stricttoml.Problems
	if !errors.As(err, &problems) || len(problems) != 1 || problems[0].Key != "optimizer.lr" {
		t.Fatalf("got %v", err)
	}
	if want := "my.toml:" + strconv.Itoa(line); problems[0].Place != want {
		t.Errorf("reported at %s, want %s", problems[0].Place, want)
	}
}

func TestUnknownRecipe(t *testing.T) {
	for got, want := range map[string]string{"tiny-stage": "tiny-stage1", "none/such.toml": "no such file", "x.toml": "no such file"} {
		if _, err := Load(got); adapters.KindOf(err) != adapters.NotFound || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", got, err, want)
		}
	}
}
