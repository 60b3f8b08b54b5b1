package eval_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/eva"
	"github.com/modular-bridging/bridge/adapters/opt"
	"github.com/modular-bridging/bridge/adapters/t5"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/eval/metrics"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/testenv"
)

// blip2Reference is testdata/blip2.json.gz (tools/reference/evaluation.py).
type blip2Reference struct {
	Size       int
	Pictures   [][][7]int // rectangles: left, top, right, bottom, red, green, blue
	Questions  []string
	Candidates [][]string
	Captions   [][]string // of the first pictures
	OPT, T5    generativeReference
	Retrieval  struct {
		Rerank      int
		TextTokens  int            `json:"text_tokens"`
		TextITC     ranksReference `json:"text_itc"`
		ImageITC    ranksReference `json:"image_itc"`
		Text, Image ranksReference
	}
}

type generativeReference struct {
	Answers, Captions []struct {
		Text   string
		Margin float64
	}
	Prompt         string
	CaptionPrompt  string           `json:"caption_prompt"`
	AnswerOptions  optionsReference `json:"answer_options"`
	CaptionOptions optionsReference `json:"caption_options"`
	Truth          [][]string
	VQA            float64
	References     [][]string
	BLEU           []float64
	Rouge, CIDEr   float64
	Ranked         map[bridge.RankBy][]struct {
		Best          int
		Score, Margin float64
	}
}

type optionsReference struct {
	Beams             int      `json:"num_beams"`
	Most              int      `json:"max_new_tokens"`
	Least             int      `json:"min_new_tokens"`
	LengthPenalty     *float64 `json:"length_penalty"`
	RepetitionPenalty float64  `json:"repetition_penalty"`
}

func (o optionsReference) options() bridge.GenerateOptions {
	return bridge.GenerateOptions{NumBeams: o.Beams, MaxNewTokens: o.Most, MinNewTokens: o.Least,
		LengthPenalty: o.LengthPenalty, RepetitionPenalty: o.RepetitionPenalty}
}

type ranksReference struct {
	Ranks   []int
	Margins []float64
	Recall  [3]float64
}

func readBLIP2(t *testing.T) *blip2Reference {
	t.Helper()
	var r blip2Reference
	testenv.ReadJSON(t, "testdata/blip2.json.gz", &r)
	if len(r.Pictures) != 200 || len(r.OPT.Answers) != 200 || len(r.T5.Captions) != 200 || len(r.Retrieval.Image.Ranks) != 200 {
		t.Fatalf("%d pictures, %d answers, %d captions, %d queries, want 200 of each", len(r.Pictures), len(r.OPT.Answers), len(r.T5.Captions), len(r.Retrieval.Image.Ranks))
	}
	return &r
}

// images draws the first n pictures: uint8[n, Size, Size, 3].
func (r *blip2Reference) images(n int) *adapters.Tensor {
	out := adapters.NewTensor(adapters.Uint8, n, r.Size, r.Size, 3)
	for i, boxes := range r.Pictures[:n] {
		for _, b := range boxes {
			for y := b[1]; y < b[3]; y++ {
				for x := b[0]; x < b[2]; x++ {
					for c := range 3 {
						out.Data[((i*r.Size+y)*r.Size+x)*3+c] = byte(b[4+c])
					}
				}
			}
		}
	}
	return out
}

// openBLIP2 opens a whole BLIP-2 that transformers saved, and the features of pictures.
func openBLIP2(t *testing.T, dir string, language *adapters.Family, images *adapters.Tensor) (*bridge.Model, *adapters.Tensor) {
	t.Helper()
	ctx := t.Context()
	b, err := bridge.Load(ctx, backends.ForTest(t), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	load := &adapters.LoadRequest{Checkpoint: dir, Backend: backends.TestName(), DType: adapters.Float32}
	encoder, err := eva.Family().OpenVision(ctx, load)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { encoder.Close() })
	m := &bridge.Model{Bridge: b, Vision: encoder}
	if language != nil {
		if m.Language, err = language.OpenLanguage(ctx, load); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Language.Close() })
	}
	features, err := m.Encode(ctx, images)
	if err != nil {
		t.Fatal(err)
	}
	return m, features
}

// nearTie is the margin up to which rounding may decide. Cases below it are counted.
const nearTie = 2e-5

// differences counts samples that differ from the reference: it names each, and tells near ties
// from errors.
type differences struct {
	t     *testing.T
	what  string
	ties  int
	cases int
}

func (d *differences) compare(i int, same bool, margin float64, got, want any) {
	d.cases++
	switch {
	case same:
	case margin < nearTie:
		d.ties++
		d.t.Logf("%s, sample %d: %v, want %v; a near tie, margin %.1e", d.what, i, got, want, margin)
	default:
		d.t.Errorf("%s, sample %d: %v, want %v; margin %.1e", d.what, i, got, want, margin)
	}
}

// end fails if near ties are more than a percent.
func (d *differences) end() {
	d.t.Logf("%s: %d of %d as the reference, %d near ties differ", d.what, d.cases-d.ties, d.cases, d.ties)
	if 100*d.ties > d.cases {
		d.t.Errorf("%s: %d of %d are near ties and differ, want at most 1 %%", d.what, d.ties, d.cases)
	}
}

func nearly(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if !(math.Abs(got-want) <= within) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// Answers, captions, rankings and their scores are those of LAVIS's flow in PyTorch.
func TestGenerativeModelsAsLAVIS(t *testing.T) {
	r := readBLIP2(t)
	for name, c := range map[string]struct {
		dir    string
		family adapters.Family
		want   generativeReference
	}{
		"opt": {filepath.Join("testdata", "blip2-opt"), opt.Family(), r.OPT},
		"t5":  {filepath.Join("..", "bridge", "testdata", "golden-t5", "checkpoint"), t5.Family(), r.T5},
	} {
		t.Run(name, func(t *testing.T) {
			m, features := openBLIP2(t, c.dir, &c.family, r.images(len(r.Pictures)))
			prompts := make([]string, len(r.Questions))
			for i, question := range r.Questions {
				prompts[i] = bridge.Templates{Question: c.want.Prompt}.QuestionExample(i, question, "").Segments[1].Text
			}
			t.Run("answers", func(t *testing.T) {
				got, err := m.ContinueFeatures(t.Context(), features, prompts, c.want.AnswerOptions.options())
				if err != nil {
					t.Fatal(err)
				}
				checkAnswers(t, got, c.want)
			})
			t.Run("captions", func(t *testing.T) {
				got, err := m.CaptionFeatures(t.Context(), features, c.want.CaptionPrompt, c.want.CaptionOptions.options())
				if err != nil {
					t.Fatal(err)
				}
				checkCaptions(t, got, c.want)
			})
			for by, want := range c.want.Ranked {
				if name == "t5" && by != bridge.RankBySum && !testenv.Long() {
					continue // OPT's are ranked in all ways
				}
				t.Run("ranked by "+string(by), func(t *testing.T) {
					got, err := m.RankFeatures(t.Context(), features, prompts, r.Candidates, by)
					if err != nil {
						t.Fatal(err)
					}
					d := differences{t: t, what: "ranking"}
					for i, w := range want {
						g := got[i]
						nearly(t, "score", g.Scores[g.Best], w.Score, 2e-3) // sums are up to 1000
						d.compare(i, g.Best == w.Best, w.Margin, g.Best, w.Best)
					}
					d.end()
				})
			}
		})
	}
}

func checkAnswers(t *testing.T, got []string, want generativeReference) {
	d := differences{t: t, what: "answers"}
	sum := 0.0
	for i, w := range want.Answers {
		d.compare(i, got[i] == w.Text, w.Margin, got[i], w.Text)
		sum += metrics.VQAAccuracy(got[i], want.Truth[i])
	}
	d.end()
	nearly(t, "VQA accuracy", 100*sum/float64(len(got)), want.VQA, 1e-9+100*float64(d.ties)/float64(len(got)))
}

func checkCaptions(t *testing.T, got []string, want generativeReference) {
	d := differences{t: t, what: "captions"}
	for i, w := range want.Captions {
		d.compare(i, got[i] == w.Text, w.Margin, got[i], w.Text)
	}
	d.end()
	if d.ties > 0 {
		return // corpus scores of other captions are others
	}
	cider, _ := metrics.CIDErD(got, want.References)
	nearly(t, "CIDEr-D", cider, want.CIDEr, 1e-9)
	rouge, _ := metrics.ROUGEL(got, want.References)
	nearly(t, "ROUGE-L", rouge, want.Rouge, 1e-9)
	bleu, _ := metrics.BLEU(got, want.References)
	for i, b := range bleu {
		nearly(t, fmt.Sprintf("BLEU-%d", i+1), b, want.BLEU[i], 1e-9)
	}
}

// gallery returns the reference's pictures with their captions.
func (r *blip2Reference) gallery(features *adapters.Tensor) eval.Gallery {
	g := eval.Gallery{Pictures: len(r.Captions), Features: func(_ context.Context, rows []int) (*adapters.Tensor, error) { return features.Gather(rows), nil }}
	for i, captions := range r.Captions {
		for _, caption := range captions {
			g.Captions, g.Picture = append(g.Captions, caption), append(g.Picture, i)
		}
	}
	return g
}

// Ranks of pictures with several captions are those of LAVIS's retrieval in PyTorch.
func TestRetrievalAsLAVIS(t *testing.T) {
	r := readBLIP2(t)
	m, features := openBLIP2(t, filepath.Join("..", "bridge", "testdata", "golden-retrieval", "checkpoint"), nil, r.images(len(r.Captions)))
	got, err := eval.Retrieve(t.Context(), m.Bridge, r.gallery(features), eval.RetrievalOptions{
		Rerank: r.Retrieval.Rerank, TextTokens: eval.RetrievalTextTokens,
	})
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		got  eval.Found
		want ranksReference
	}{
		"captions by ITC": {got.TextITC, r.Retrieval.TextITC}, "pictures by ITC": {got.ImageITC, r.Retrieval.ImageITC},
		"captions by ITM": {got.Text, r.Retrieval.Text}, "pictures by ITM": {got.Image, r.Retrieval.Image},
	} {
		d := differences{t: t, what: what}
		for i, rank := range c.want.Ranks {
			d.compare(i, c.got.Ranks[i] == rank, c.want.Margins[i], c.got.Ranks[i], rank)
		}
		d.end()
		recall, within := metrics.RecallOf(c.got.Ranks), 1e-9+100*float64(d.ties)/float64(len(c.want.Ranks))
		for i, x := range []float64{recall.At1, recall.At5, recall.At10} {
			nearly(t, what+", recall", x, c.want.Recall[i], within)
		}
	}
}

// pieces keeps pieces in memory, up to a number.
type pieces struct {
	kept map[string][]byte
	most int
}

var errFull = errors.New("no more pieces")

func (p *pieces) Load(name string) ([]byte, error) { return p.kept[name], nil }
func (p *pieces) Save(name string, data []byte) error {
	if len(p.kept) >= p.most {
		return errFull
	}
	p.kept[name] = slices.Clone(data)
	return nil
}

// A measurement that is interrupted again and again ends with the same ranks, and computes no
// piece twice.
func TestRetrievalResumes(t *testing.T) {
	r := readBLIP2(t)
	m, features := openBLIP2(t, filepath.Join("..", "bridge", "testdata", "golden-retrieval", "checkpoint"), nil, r.images(len(r.Captions)))
	g := r.gallery(features)
	options := eval.RetrievalOptions{Rerank: 3}
	whole, err := eval.Retrieve(t.Context(), m.Bridge, g, options)
	if err != nil {
		t.Fatal(err)
	}
	store := &pieces{kept: map[string][]byte{}}
	options.Pieces = store
	total := 0
	options.Progress = func(_, of int) { total = of }
	before := m.Forwards()
	var got *eval.Retrieved
	for most := 1; got == nil; most += 3 {
		store.most = most
		if got, err = eval.Retrieve(t.Context(), m.Bridge, g, options); err != nil && !errors.Is(err, errFull) {
			t.Fatal(err)
		}
	}
	if len(store.kept) != total || total < 6 {
		t.Errorf("%d pieces are kept of %d", len(store.kept), total)
	}
	if fmt.Sprint(got) != fmt.Sprint(whole) {
		t.Error("a resumed measurement gives other ranks")
	}
	forwards := m.Forwards()
	if again, err := eval.Retrieve(t.Context(), m.Bridge, g, options); err != nil || m.Forwards() != forwards || fmt.Sprint(again) != fmt.Sprint(whole) {
		t.Errorf("a finished measurement computes %d passes again, of %d: %v", m.Forwards()-forwards, forwards-before, err)
	}
	store.kept["matches-000000"][0]++ // other pairs
	store.most = total + 1
	if again, err := eval.Retrieve(t.Context(), m.Bridge, g, options); err != nil || m.Forwards() == forwards || fmt.Sprint(again) != fmt.Sprint(whole) {
		t.Errorf("a piece of other pairs: %v", err)
	}
}

// A sample's candidates have the same scores alone and among others, and equal candidates are
// ranked by their order.
func TestRankingAloneAndInABatch(t *testing.T) {
	r := readBLIP2(t)
	family := opt.Family()
	m, features := openBLIP2(t, filepath.Join("testdata", "blip2-opt"), &family, r.images(4))
	prompts, candidates := r.Questions[:4], slices.Clone(r.Candidates[:4])
	candidates[3] = []string{"a dog", "a dog", "a much longer candidate than all the others of its sample", "a cat", "a dog"}
	for _, by := range bridge.RankBys() {
		all, err := m.RankFeatures(t.Context(), features, prompts, candidates, by)
		if err != nil {
			t.Fatal(err)
		}
		if s := all[3].Scores; s[0] != s[1] || s[0] != s[4] || all[3].Best == 1 || all[3].Best == 4 {
			t.Errorf("ranked by %s, equal candidates: %+v", by, all[3])
		}
		for _, i := range []int{0, 3} {
			alone, err := m.RankFeatures(t.Context(), features.Slice(i, i+1), prompts[i:i+1], candidates[i:i+1], by)
			if err != nil {
				t.Fatal(err)
			}
			if alone[0].Best != all[i].Best {
				t.Errorf("ranked by %s, sample %d: candidate %d in a batch, %d alone", by, i, all[i].Best, alone[0].Best)
			}
			for j, score := range alone[0].Scores {
				nearly(t, "score alone", score, all[i].Scores[j], 2e-3)
			}
		}
	}
	for _, c := range []struct {
		by         bridge.RankBy
		candidates [][]string
	}{{"least", candidates}, {bridge.RankBySum, candidates[1:]}, {bridge.RankBySum, append([][]string{nil}, candidates[1:]...)}} {
		if _, err := m.RankFeatures(t.Context(), features, prompts, c.candidates, c.by); err == nil {
			t.Errorf("ranking %d lists by %q succeeds", len(c.candidates), c.by)
		}
	}
}

func TestRetrieveRefusesBrokenGalleries(t *testing.T) {
	for _, g := range []eval.Gallery{{}, {Pictures: 1, Captions: []string{"a"}}, {Pictures: 1, Captions: []string{"a"}, Picture: []int{1}},
		{Pictures: 2, Captions: []string{"a"}, Picture: []int{1}}} {
		if _, err := eval.Retrieve(t.Context(), nil, g, eval.RetrievalOptions{}); err == nil {
			t.Errorf("%+v is accepted", g)
		}
	}
}
