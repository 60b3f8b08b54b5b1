package recipes

import "testing"

func TestLanguageProblems(t *testing.T) {
	testProblems(t, []problemTest{
		{"stage 2 without", "tiny-stage1", []string{"stage=2"}, []string{"language: is missing", "similar: is 0.5"}},
		{"no question prompt", "tiny-stage2-opt", []string{"language.question_prompt="}, []string{"data.questions: is 0.35, but language.question_prompt is empty"}},
		{"question prompt", "tiny-stage2-opt", []string{"language.question_prompt=Q"}, []string{"language.question_prompt: is \"Q\", want {} once"}},
	})
}
