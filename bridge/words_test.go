package bridge

import (
	"reflect"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

func TestLargestWeights(t *testing.T) {
	words, weights := []string{"dog", "cat", "fox", "owl"}, []float32{0.1, 0.4, 0.1, 0.4}
	for n, want := range map[int][]WordWeight{
		0: {},
		3: {{"cat", 0.4}, {"owl", 0.4}, {"dog", 0.1}},
		9: {{"cat", 0.4}, {"owl", 0.4}, {"dog", 0.1}, {"fox", 0.1}},
	} {
		if got := largest(words, weights, n); !reflect.DeepEqual(got, want) {
			t.Errorf("%d: got %v, want %v", n, got, want)
		}
	}
	if got := WordsText(largest(words, weights, 2)); got != "cat 0.40, owl 0.40" {
		t.Errorf("got %q", got)
	}
	if got := WordsText([]WordWeight{{"cat", 0.004}, {"dog", 0.003}}); got != "cat 0.00" {
		t.Errorf("got %q", got)
	}
}

func TestALinearBridgeSaysNoWords(t *testing.T) {
	_, err := (&Bridge{}).SaidWords(t.Context(), nil, 3)
	if adapters.KindOf(err) != adapters.Unsupported || !strings.Contains(err.Error(), `projection.kind = "words"`) {
		t.Errorf("got %v, want an error of kind unsupported with a remedy", err)
	}
}
