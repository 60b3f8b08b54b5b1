package train_test

import (
	"math"
	"strings"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/opt"
	"github.com/modular-bridging/bridge/adapters/t5"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/internal/hosttensor"
	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/qformer"
	losses "github.com/modular-bridging/bridge/qformer/objective"
	"github.com/modular-bridging/bridge/train"
	"github.com/modular-bridging/bridge/train/objective"
)

// paired says that neighbours show the same picture.
type paired struct{ data.Dataset }

func (p paired) Record(i int) (data.Record, error) {
	e := recordOf(p.Dataset, i)
	e.ImageID = int32(i / 2)
	return e, nil
}

// direct computes ITC and ITG of a whole set, as the paper has them.
func direct(t *testing.T, b *bridge.Bridge, set train.Set, begin int32) (itc, itg float64) {
	t.Helper()
	rows, ids, texts := []int{}, []int32{}, []string{}
	for i := range set.Data.Len() {
		e := recordOf(set.Data, i)
		rows, ids, texts = append(rows, i), append(ids, e.ImageID), append(texts, e.Captions[0])
	}
	features, err := set.Features.Features(t.Context(), rows)
	if err != nil {
		t.Fatal(err)
	}
	words, err := b.Tokenizer().Batch(texts)
	if err != nil {
		t.Fatal(err)
	}
	var args []any
	for _, host := range []*adapters.Tensor{features, words, adapters.FromInt32(ids, len(ids))} {
		d, err := hosttensor.ToDevice(b.Backend(), host)
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, d)
	}
	c := losses.BLIP2()
	c.Begin, c.ITM = int(begin), 0
	exec := model.MustNewExec(b.Backend(), b.Store(), func(_ *model.Scope, in []*Node) []*Node {
		pad := Scalar(in[1].Graph(), in[1].DType(), b.Tokenizer().Pad())
		l := losses.Stage1(qformer.New(b.Config(), b.Store(), in[0].Graph(), nil), c,
			losses.Batch{Features: in[0], IDs: in[1], Visible: NotEqual(in[1], pad), ImageIDs: in[2]}, nil)
		return []*Node{l.ITC, l.ITG}
	})
	defer exec.Finalize()
	out := exec.MustCall(args...)
	return float64(tensors.ToScalar[float32](out[0])), float64(tensors.ToScalar[float32](out[1]))
}

// Image ids that got lost would make two captions of one picture negatives of
// each other; a text that does not begin with [DEC] is another task than the
// one that a stage-1 bridge is used for.
func TestStage1SeesImageIDsAndBeginsWithDEC(t *testing.T) {
	b := tiny(t, 0)
	set := scenes(t, kit.Train, 6)
	distinct := set
	set.Data = paired{set.Data}
	wantITC, wantITG := direct(t, b, set, b.Tokenizer().DEC())
	otherITC, _ := direct(t, b, distinct, b.Tokenizer().DEC())
	_, otherITG := direct(t, b, set, 0)
	if math.Abs(wantITC-otherITC) < 1e-3 || math.Abs(wantITG-otherITG) < 1e-3 {
		t.Fatalf("the batch does not tell: ITC %g and %g, ITG %g and %g", wantITC, otherITC, wantITG, otherITG)
	}
	plan, dir := onePhase(objective.Representation(), 4), t.TempDir()
	plan.Phases[0].Batch = 6
	s := newSession(t, b, nil, plan, dir)
	s.Train = set
	if _, err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := readMetric(t, dir, "only/itc")[0]; math.Abs(got-wantITC) > 1e-4 {
		t.Errorf("ITC of the first step is %g, want %g", got, wantITC)
	}
	if got := readMetric(t, dir, "only/itg")[0]; math.Abs(got-wantITG) > 1e-4 {
		t.Errorf("ITG of the first step is %g, want %g", got, wantITG)
	}
}

// Weights that were ignored would train all three objectives alike.
func TestStage1WeighsItsObjectives(t *testing.T) {
	plan, dir := onePhase(objective.Representation(), 4), t.TempDir()
	plan.Phases[0].ITC, plan.Phases[0].ITM = 2, 0.5
	if _, err := newSession(t, tiny(t, 0), nil, plan, dir).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	loss, itc, itm, itg := readMetric(t, dir, "only/loss"), readMetric(t, dir, "only/itc"), readMetric(t, dir, "only/itm"), readMetric(t, dir, "only/itg")
	for i := range loss {
		if math.Abs(loss[i]-2*itc[i]-0.5*itm[i]) > 1e-4 || itg[i] != 0 || itc[i] <= 0 || itm[i] <= 0 {
			t.Errorf("step %d: loss %g of ITC %g, ITM %g, ITG %g; want 2·ITC + 0.5·ITM, no ITG", i+1, loss[i], itc[i], itm[i], itg[i])
		}
	}
}

// trainOneStep runs a plan with a language model that is listened to, checks that it
// learns, and calls check with each example.
func trainOneStep(t *testing.T, s *train.Session, check func(text, target string)) {
	t.Helper()
	l := &listening{LanguageModel: s.Language}
	s.Language = l
	if _, err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, req := range l.asked {
		for i, e := range req.Examples {
			text, target := parts(t, i, e)
			check(text, target)
			n++
		}
	}
	if st := s.Plan.Phases[0]; n != st.Batch*st.Schedule.Steps {
		t.Errorf("%d examples, want %d", n, st.Batch*st.Schedule.Steps)
	}
	if st := s.Plan.Phases[0]; st.Batch == s.Train.Data.Len() {
		losses := readMetric(t, s.Dir, st.Name+"/loss")
		if head, tail := losses[0], losses[len(losses)-1]; !(tail < head) {
			t.Errorf("the loss went from %g to %g", head, tail)
		}
	}
}

// A text between picture and caption would make `lm` another objective.
func TestLanguageModelingIsPictureThenCaption(t *testing.T) {
	lm, err := opt.Family().OpenLanguage(t.Context(), &adapters.LoadRequest{Checkpoint: models("tiny-opt"), Backend: "go"})
	if err != nil {
		t.Fatal(err)
	}
	defer lm.Close()
	plan := onePhase(objective.LanguageModeling(), 4)
	plan.Phases[0].Schedule.Warmup = 0
	s := newSession(t, tinyFor(t, lm, 0), lm, plan, t.TempDir())
	s.Train = scenes(t, kit.Train, 8)
	captions := captionSet(s.Train.Data)
	trainOneStep(t, s, func(text, target string) {
		if _, ok := captions[target]; !ok || text != "" {
			t.Errorf("text %q, target %q; want no text and a caption", text, target)
		}
	})
}

// A prefix that was dropped, or changed places with the rest, would leave the
// encoder of an encoder-decoder without its part of the caption.
func TestPrefixLMSplitsCaptionsBetweenEncoderAndDecoder(t *testing.T) {
	lm, err := t5.Family().OpenLanguage(t.Context(), &adapters.LoadRequest{Checkpoint: models("tiny-flan-t5"), Backend: "go"})
	if err != nil {
		t.Fatal(err)
	}
	defer lm.Close()
	plan := onePhase(objective.PrefixLM(), 4)
	plan.Templates.TargetPrefix = ""
	s := newSession(t, tinyFor(t, lm, 0), lm, plan, t.TempDir())
	captions, lengths := captionSet(s.Train.Data), map[int]bool{}
	trainOneStep(t, s, func(prefix, rest string) {
		n, all := len(strings.Fields(prefix)), len(strings.Fields(prefix+" "+rest))
		if _, ok := captions[prefix+" "+rest]; !ok || n < 1 || n > all/2 {
			t.Errorf("prefix %q, rest %q: no caption with 1 to %d words before the cut", prefix, rest, all/2)
		}
		lengths[n] = true
	})
	if len(lengths) < 2 {
		t.Errorf("every prefix has the same length: %v", lengths)
	}
}

// Questions that are never drawn leave a bridge that cannot answer.
func TestQuestionsAreDrawnAsOftenAsTheMixSays(t *testing.T) {
	lm := fakeLanguage()
	plan := onePhase(objective.PromptCaption(), 8)
	plan.Phases[0].Mix.Questions = 0.5
	s := newSession(t, tinyFor(t, lm, 0), lm, plan, t.TempDir())
	captions, answers := captionSet(s.Train.Data), map[string]bool{}
	for i := range s.Train.Data.Len() {
		for _, q := range recordOf(s.Train.Data, i).Questions {
			answers["Question: "+q.Question+" Answer:| "+q.Answer] = true
		}
	}
	questions := 0
	trainOneStep(t, s, func(text, target string) {
		_, caption := captions[strings.TrimPrefix(target, " ")]
		switch {
		case answers[text+"|"+target]:
			questions++
		case text != "a photo of" || !caption:
			t.Errorf("%q with the target %q is neither question nor caption of the data", text, target)
		}
	})
	if questions < 16 || questions > 48 {
		t.Errorf("%d of 64 examples are questions, want about half", questions)
	}
}

// A row of features or of cached Q-Former outputs that is not the caption's own
// would train the bridge to ignore the picture.
func TestSoftPromptsAreOfTheirOwnPicture(t *testing.T) {
	for name, cached := range map[string]int{"features": 0, "cached Q-Former outputs": 70} {
		t.Run(name, func(t *testing.T) {
			lm := fakeLanguage()
			plan := onePhase(objective.PromptCaption(), 1)
			plan.Phases[0].Batch, plan.Phases[0].CachedQueries = 70, cached // more than are cached at once
			if cached > 0 {
				plan.Phases[0].Train = plan.Phases[0].Train[1:]
			}
			b := tinyFor(t, lm, 0)
			l := &listening{LanguageModel: lm}
			s := newSession(t, b, l, plan, t.TempDir())
			s.Train = scenes(t, kit.Train, 70)
			var rows []int
			for i := range 70 {
				rows = append(rows, i)
			}
			features, err := rowFeatures{}.Features(t.Context(), rows)
			if err != nil {
				t.Fatal(err)
			}
			want, err := b.SoftPrompts(t.Context(), features)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			near := func(got *adapters.Tensor, row int) bool {
				for i, v := range got.Float32s() {
					if math.Abs(float64(v-want.Row(row).Float32s()[i])) > 1e-4 {
						return false
					}
				}
				return true
			}
			for i, e := range l.asked[0].Examples {
				_, target := parts(t, i, e)
				own := false
				for row := range 70 { // captions may be equal
					own = own || " "+recordOf(s.Train.Data, row).Captions[0] == target && near(l.asked[0].Prompts.Row(i), row)
				}
				if !own {
					t.Errorf("example %d, %q: the soft prompt is of another picture", i, target)
				}
			}
		})
	}
}
