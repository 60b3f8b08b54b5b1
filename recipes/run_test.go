package recipes

import "testing"

func TestRunProblems(t *testing.T) {
	testProblems(t, []problemTest{
		{"backend", "tiny-stage1", []string{"run.backend=cuda"}, []string{"run.backend: backend \"cuda\""}},
	})
}
