package score

import (
	"context"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/eval/metrics"
	"github.com/modular-bridging/bridge/eval/metrics/jars"
	"github.com/modular-bridging/bridge/eval/metrics/ptb"
	"github.com/modular-bridging/bridge/internal/didyoumean"
)

// The metrics of a [Scorer], beside the kinds of benchmarks [VQA], [GQA], [POPE], [MME] and [Captions],
// [Retrieval] and [Winoground].
const (
	AOKVQADirect = "aokvqa-direct" // direct answers of A-OKVQA
	Choice       = "choice"        // whether the chosen candidate is the right one
	ROCAUC       = "roc-auc"       // of a sample's confidence
	Unscored     = "none"          // no score: the right answers are a server's secret
)

// Sample is an answer in memory, with what it is compared with.
type Sample struct {
	ID      string
	Text    string   // the answer
	Failed  bool     // there is no answer: it counts 0, and as an empty caption
	Targets []string // answers of people, captions of the picture, or the right answer
	// Chosen is the number of the chosen candidate and Right that of the right one, for Choice.
	Chosen, Right int
	// Confidence that the sample is positive, and whether it is, for ROCAUC.
	Confidence float64
	Positive   bool
	// Rank is that of the best right candidate, from 0, and ByText says that the query is a text, for
	// Retrieval.
	Rank   int
	ByText bool
	// Matches are the scores of caption c with picture i, at [c][i], for Winoground.
	Matches [2][2]float64
	// Types are the groups of the sample, by kind.
	Types map[string]string
}

// ScorerOptions are the settings of a [Scorer].
type ScorerOptions struct {
	Variant string // of VQA and GQA; empty: official
	// By are the kinds of groups with figures of their own. A sample without a name is in none.
	By []string
	// References has the captions of people for each sample, in order, for Captions.
	References [][]string
	// Jars is the folder with METEOR and SPICE.
	Jars jars.Folder
}

// Scorer scores answers one at a time ([Scorer.One]) and all of a task ([Scorer.All]), by the
// same rules as [Score] does files.
type Scorer struct {
	metric  string
	options ScorerOptions
	rule    rule
	vqa     *metrics.VQA
	cider   *metrics.CIDErDScorer
	words   [][]string // of the references
}

// rule is how a metric scores.
type rule struct {
	// one returns a sample's text as it is compared, and its score; ok is false if it has none.
	one func(s *Scorer, i int, x *Sample) (text string, score float64, ok bool)
	all func(ctx context.Context, s *Scorer, samples []Sample) (*Result, error)
}

var rules = map[string]rule{
	VQA:          {(*Scorer).oneVQA, allVQA},
	GQA:          {(*Scorer).oneGQA, allGQA},
	AOKVQADirect: {(*Scorer).oneDirect, means("value", "direct answers")},
	Choice:       {oneChoice, means("value", "accuracy")},
	POPE:         {onePOPE, allPOPE},
	MME:          {oneMME, allMME},
	ROCAUC:       {oneChoice, allROC},
	Captions:     {(*Scorer).oneCaption, allCaptions},
	Retrieval:    {oneRank, allRanks},
	Winoground:   {oneExample, allExamples},
	Unscored: {func(_ *Scorer, _ int, x *Sample) (string, float64, bool) { return x.Text, 0, false },
		func(_ context.Context, _ *Scorer, samples []Sample) (*Result, error) {
			return &Result{N: len(samples)}, nil
		}},
}

// Metrics returns the names of the metrics of a [Scorer].
func Metrics() []string {
	return []string{VQA, GQA, AOKVQADirect, Choice, POPE, MME, ROCAUC, Captions, Retrieval, Winoground, Unscored}
}

// MetricVariants returns the variants of a metric, the default first; nil if it has none.
func MetricVariants(metric string) []string {
	switch metric {
	case VQA:
		return vqaVariants()
	case GQA:
		return GQAVariants()
	}
	return nil
}

// NewScorer returns a scorer for a metric.
func NewScorer(metric string, o ScorerOptions) (*Scorer, error) {
	s := &Scorer{metric: metric, options: o}
	var ok bool
	if s.rule, ok = rules[metric]; !ok {
		return nil, adapters.Errorf(adapters.Invalid, "there is no metric %q%s", metric, didyoumean.Hint(metric, Metrics()))
	}
	if variants := MetricVariants(metric); variants != nil {
		var err error
		if s.options.Variant, err = choice("the variant", o.Variant, variants); err != nil {
			return nil, err
		}
	}
	switch metric {
	case VQA:
		s.vqa = metrics.NewVQA(metrics.VQAVariant(s.options.Variant))
	case Captions:
		words, err := tokenize(context.Background(), TokenizerPTB, "", nil, o.References)
		if err != nil {
			return nil, err
		}
		s.words, s.cider = words.references, metrics.NewCIDErD(words.references)
	}
	return s, nil
}

// One returns the text of sample i as the metric compares it, and its score from 0 to 1. ok is false if
// the sample has no score of its own. A failed sample scores 0.
func (s *Scorer) One(i int, x Sample) (text string, score float64, ok bool) {
	text, score, ok = s.rule.one(s, i, &x)
	if x.Failed {
		return "", 0, ok
	}
	return text, score, ok
}

// All scores the samples of a task, in its order, which is that of the references.
func (s *Scorer) All(ctx context.Context, samples []Sample) (*Result, error) {
	r, err := s.rule.all(ctx, s, samples)
	if err != nil {
		return nil, err
	}
	r.Task = s.metric
	if s.options.Variant != "" {
		r.Settings = append([]Setting{{"variant", s.options.Variant}}, r.Settings...)
	}
	return r, nil
}

// scores returns the scores of samples, without those that have none.
func (s *Scorer) scores(samples []Sample) (scored []Sample, values []float64) {
	for i, x := range samples {
		if _, score, ok := s.One(i, x); ok {
			scored, values = append(scored, x), append(values, score)
		}
	}
	return scored, values
}

// byGroups returns a figure of each group, of all kinds.
func (s *Scorer) byGroups(key, title string, samples []Sample, values []float64) []Figure {
	var out []Figure
	for _, by := range s.options.By {
		out = append(out, groups(key, title, by, namesOf(samples, by), values)...)
	}
	return out
}

// namesOf returns the group of each sample.
func namesOf(samples []Sample, by string) []string {
	names := make([]string, len(samples))
	for i, x := range samples {
		names[i] = x.Types[by]
	}
	return names
}

// means returns a rule of the mean of scores, in percent.
func means(key, title string) func(context.Context, *Scorer, []Sample) (*Result, error) {
	return func(_ context.Context, s *Scorer, samples []Sample) (*Result, error) {
		scored, values := s.scores(samples)
		return &Result{N: len(scored), Figures: append([]Figure{percent(key, title, values)}, s.byGroups(key, title, scored, values)...)}, nil
	}
}

func (s *Scorer) oneVQA(_ int, x *Sample) (string, float64, bool) {
	return s.vqa.Compared(x.Text, x.Targets), s.vqa.Accuracy(x.Text, x.Targets), true
}

// allVQA adds to the accuracy how well unanswerable questions are recognised, if the samples say
// which can be answered.
func allVQA(ctx context.Context, s *Scorer, samples []Sample) (*Result, error) {
	r, err := means("value", "VQA accuracy")(ctx, s, samples)
	if err != nil || !slices.Contains(s.options.By, "answerable") {
		return r, err
	}
	var said, truth []bool
	var confidence []float64
	for _, x := range samples {
		says := !x.Failed && metrics.Unanswerable(x.Text)
		said, truth = append(said, says), append(truth, x.Types["answerable"] == "0")
		confidence = append(confidence, float64(countOf(says)))
	}
	r.Figures = slices.Insert(r.Figures, 1, answerability(said, truth, confidence)...)
	return r, nil
}

func countOf(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (s *Scorer) oneGQA(_ int, x *Sample) (string, float64, bool) {
	text, answer := x.Text, x.Targets[0]
	if s.options.Variant == "lavis" {
		text, answer = metrics.NormalizeVQA(text), metrics.NormalizeVQA(answer)
	}
	return text, float64(countOf(text == answer)), true
}

// allGQA adds the distribution to the accuracy, if samples have groups.
func allGQA(ctx context.Context, s *Scorer, samples []Sample) (*Result, error) {
	r, err := means("value", "accuracy")(ctx, s, samples)
	if err != nil {
		return nil, err
	}
	texts, answers, names := make([]string, len(samples)), make([]string, len(samples)), namesOf(samples, "group")
	for i, x := range samples {
		texts[i], answers[i] = x.Text, x.Targets[0]
	}
	if f, ok := distribution(texts, answers, names); ok {
		r.Figures = slices.Insert(r.Figures, 1, f)
	}
	return r, nil
}

// oneDirect scores an answer of A-OKVQA. Difficult questions have no score.
func (s *Scorer) oneDirect(_ int, x *Sample) (string, float64, bool) {
	return x.Text, metrics.AOKVQADirect(x.Text, x.Targets), x.Types["difficult"] != "true"
}

func oneChoice(_ *Scorer, _ int, x *Sample) (string, float64, bool) {
	return x.Text, float64(countOf(x.Chosen == x.Right)), true
}

func onePOPE(_ *Scorer, _ int, x *Sample) (string, float64, bool) {
	said := "no"
	if metrics.POPEYes(x.Text) {
		said = "yes"
	}
	return said, float64(countOf(said == x.Targets[0])), true
}

// allPOPE counts a failed sample as no, and wrong.
func allPOPE(_ context.Context, s *Scorer, samples []Sample) (*Result, error) {
	said, truth := make([]bool, len(samples)), make([]bool, len(samples))
	for i, x := range samples {
		said[i], truth[i] = !x.Failed && metrics.POPEYes(x.Text), x.Targets[0] == "yes"
	}
	scored, right := s.scores(samples)
	r := &Result{N: len(samples), Figures: popeFigures(said, truth, right)}
	r.Figures = append(r.Figures, s.byGroups("accuracy", "accuracy", scored, right)...)
	return r, nil
}

func oneMME(_ *Scorer, _ int, x *Sample) (string, float64, bool) {
	said := metrics.MMEAnswer(x.Text)
	return said, float64(countOf(said == metrics.MMEAnswer(x.Targets[0]))), true
}

func allMME(_ context.Context, s *Scorer, samples []Sample) (*Result, error) {
	byName := map[string]*mmeCategory{}
	for i, x := range samples {
		name := x.Types["category"]
		c := byName[name]
		if c == nil {
			c = &mmeCategory{name: name, index: map[string]int{}}
			byName[name] = c
		}
		_, score, _ := s.One(i, x)
		c.add(metrics.MMEItem{Picture: x.Types["picture"], Right: score == 1})
	}
	r := &Result{N: len(samples)}
	var each []Figure
	for _, group := range mmeGroups() {
		var scored []mmeCategory
		for _, name := range group.categories {
			if c := byName[name]; c != nil {
				scored = append(scored, *c)
				each = append(each, mmeCategoryFigure(*c))
			}
		}
		r.Figures = append(r.Figures, mmeFigure(group.key, scored))
	}
	r.Figures = append(r.Figures, each...)
	return r, nil
}

// allROC returns ROC-AUC, and the accuracy of the chosen candidate. A failed sample counts as sure
// and wrong.
func allROC(_ context.Context, s *Scorer, samples []Sample) (*Result, error) {
	confidence, truth := make([]float64, len(samples)), make([]bool, len(samples))
	for i, x := range samples {
		confidence[i], truth[i] = x.Confidence, x.Positive
		if x.Failed {
			confidence[i] = sureAndWrong(x.Positive)
		}
	}
	scored, right := s.scores(samples)
	r := &Result{N: len(samples), Figures: []Figure{rocFigure(confidence, truth), percent("accuracy", "accuracy", right)}}
	r.Figures = append(r.Figures, s.byGroups("accuracy", "accuracy", scored, right)...)
	return r, nil
}

// oneCaption returns a caption's words, and a tenth of its CIDEr-D.
func (s *Scorer) oneCaption(i int, x *Sample) (string, float64, bool) {
	words := ptb.Words([]string{x.Text})[0]
	return words, s.cider.Score(i, words) / 10, true
}

// allCaptions scores all captions, and those of each group twice: with words weighed by all
// references, and by those of the group alone.
func allCaptions(ctx context.Context, s *Scorer, samples []Sample) (*Result, error) {
	if len(samples) != len(s.words) {
		return nil, adapters.Errorf(adapters.Invalid, "%d captions, want one for each of the %d references", len(samples), len(s.words))
	}
	c := &corpus{got: ptb.Words(captionTexts(samples)), references: s.words}
	r := &Result{N: len(samples), Settings: []Setting{{"tokenizer", TokenizerPTB}}, NotComputed: map[string]string{}}
	if err := c.score(ctx, r, Options{Jars: s.options.Jars}); err != nil {
		return nil, err
	}
	if len(s.options.By) == 0 {
		return r, nil
	}
	_, each := metrics.CIDErD(c.got, c.references)
	for _, by := range s.options.By {
		names := namesOf(samples, by)
		for _, f := range groups("cider_d", "CIDEr-D", by, names, each) {
			rows := rowsOf(names, f.Name)
			r.Figures = append(r.Figures, inGroup(mean("cider_d", "CIDEr-D", picked(each, rows)), by, f.Name))
			_, own := metrics.CIDErD(picked(c.got, rows), picked(c.references, rows))
			r.Figures = append(r.Figures, inGroup(mean("cider_d_own_references", "CIDEr-D, own references", own), by, f.Name))
		}
	}
	return r, nil
}

// captionTexts returns the captions. A failed sample has an empty one.
func captionTexts(samples []Sample) []string {
	texts := make([]string, len(samples))
	for i, x := range samples {
		if !x.Failed {
			texts[i] = x.Text
		}
	}
	return texts
}

// inGroup returns a figure as that of a group.
func inGroup(f Figure, by, name string) Figure {
	f.By, f.Name = by, name
	return f
}

// rowsOf returns the numbers of the samples of a group.
func rowsOf(names []string, name string) []int {
	var rows []int
	for i, n := range names {
		if n == name {
			rows = append(rows, i)
		}
	}
	return rows
}

func oneRank(_ *Scorer, _ int, x *Sample) (string, float64, bool) {
	return x.Text, float64(countOf(x.Rank == 0)), true
}

// allRanks returns the recall of texts for pictures and of pictures for texts.
func allRanks(_ context.Context, _ *Scorer, samples []Sample) (*Result, error) {
	var text, image []int
	for _, x := range samples {
		if x.ByText {
			image = append(image, x.Rank)
		} else {
			text = append(text, x.Rank)
		}
	}
	return &Result{N: len(samples), Figures: append(recallFigures("text", "text", text), recallFigures("image", "picture", image)...)}, nil
}

func oneExample(_ *Scorer, _ int, x *Sample) (string, float64, bool) {
	return "", metrics.WinogroundOf([][2][2]float64{x.Matches}).Group / 100, true
}

func allExamples(_ context.Context, s *Scorer, samples []Sample) (*Result, error) {
	matches, found := make([][2][2]float64, len(samples)), make([]bool, len(samples))
	for i, x := range samples {
		matches[i], found[i] = x.Matches, !x.Failed
	}
	figures, group := winogroundFigures(matches, found)
	return &Result{N: len(samples), Figures: append(figures, s.byGroups("group", "group score", samples, group)...)}, nil
}
