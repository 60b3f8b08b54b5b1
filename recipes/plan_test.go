package recipes

import (
	"testing"

	"github.com/modular-bridging/bridge/qformer"
)

func TestStage1Plan(t *testing.T) {
	r := resolve(t, load(t, "vit-l-stage1", "qformer.query_tokens=16"))
	s := r.Plan().Phases[0]
	if s.ITC != 1 || s.ITM != 1 || s.ITG != 1 || s.Objective.Name != "representation" || len(s.Optimizer.LearningRate) != 1 {
		t.Errorf("stage %+v", s)
	}
	want := qformer.Base()
	want.Queries, want.EncoderWidth, want.LanguageWidth, want.Vocabulary = 16, 1024, 0, 0
	if got := r.QFormerConfig(); got != want {
		t.Errorf("Q-Former %+v, want %+v", got, want)
	}
}
