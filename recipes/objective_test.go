package recipes

import "testing"

func TestObjectiveProblems(t *testing.T) {
	testProblems(t, []problemTest{
		{"prefix-lm for a decoder", "tiny-stage2-opt", []string{"objective.name=prefix-lm"}, []string{"objective.name", "encoder-decoder", `want "prompt-caption" or "lm"`}},
		{"lm for an encoder-decoder", "tiny-stage2-flan-t5", []string{"objective.name=lm"}, []string{"objective.name", `"prompt-caption" or "prefix-lm"`}},
	})
}
