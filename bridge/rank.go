package bridge

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
)

// RankBy is the score by which candidate answers are ranked. Lower is better.
type RankBy string

const (
	// RankBySum is the sum of −log p over a candidate's tokens, the end token included: LAVIS's
	// predict_class of InstructBLIP with FlanT5. With Vicuna, LAVIS divides the sum by the length
	// of the padded row. All candidates share it, so the order is the same.
	RankBySum RankBy = "sum"
	// RankByMean is the sum divided by the candidate's tokens, so that long candidates are not
	// at a disadvantage.
	RankByMean RankBy = "mean"
	// RankByGain is the sum less the sum without the picture. It is negative if the picture makes
	// the candidate more probable.
	RankByGain RankBy = "sum - unconditional"
)

// RankBys lists all values of [RankBy].
func RankBys() []RankBy { return []RankBy{RankBySum, RankByMean, RankByGain} }

// Ranked is the result of ranking a sample's candidates.
type Ranked struct {
	// Best is the index of the candidate with the lowest score. Of equals, the first is best.
	Best int
	// Scores has each candidate's score, in nats.
	Scores []float64
}

// RankFeatures ranks candidates[i] as continuations of prompts[i], a whole text as the language
// model reads it, for row i of features [B, N, Denc]. Samples may have different numbers of
// candidates, each at least one. Candidates are given without the white space before them
// ([Templates] has it). Equal candidates of a sample have equal scores. A sample's scores do not
// depend on the others, up to rounding.
func (m *Model) RankFeatures(ctx context.Context, features *adapters.Tensor, prompts []string, candidates [][]string, by RankBy) ([]Ranked, error) {
	if !slices.Contains(RankBys(), by) {
		return nil, fmt.Errorf("candidates are to be ranked by %q, want one of %q", by, RankBys())
	}
	if n := features.Shape[0]; len(prompts) != n || len(candidates) != n {
		return nil, fmt.Errorf("%d prompts and %d lists of candidates for %d pictures, want equal numbers", len(prompts), len(candidates), n)
	}
	var list examples
	for i, prompt := range prompts {
		if len(candidates[i]) == 0 {
			return nil, fmt.Errorf("sample %d has no candidates, want at least 1", i)
		}
		for _, candidate := range candidates[i] {
			list.add(m.Info.Templates.PrefixExample(i, prompt, candidate))
		}
	}
	soft, err := m.SoftPrompts(ctx, features)
	if err != nil {
		return nil, err
	}
	scores, err := m.rankScores(ctx, soft, list, by)
	if err != nil {
		return nil, err
	}
	ranked := make([]Ranked, len(candidates))
	for i := range ranked {
		n := len(candidates[i])
		if ranked[i], err = rankedOf(scores[:n:n]); err != nil {
			return nil, fmt.Errorf("sample %d: %w", i, err)
		}
		scores = scores[n:]
	}
	return ranked, nil
}

// rankedOf returns the ranking by scores.
func rankedOf(scores []float64) (Ranked, error) {
	r := Ranked{Scores: scores}
	for i, score := range scores {
		if math.IsNaN(score) {
			return Ranked{}, adapters.Errorf(adapters.Internal, "the score of candidate %d is not a number", i).
				WithRemedy("check the weights, or compute in float32")
		}
		if score < scores[r.Best] {
			r.Best = i
		}
	}
	return r, nil
}

// rankScores returns the score of each example's target.
func (m *Model) rankScores(ctx context.Context, soft *adapters.Tensor, list examples, by RankBy) ([]float64, error) {
	given, err := m.targetLosses(ctx, soft, list)
	if err != nil {
		return nil, err
	}
	scores := make([]float64, len(given))
	for i, loss := range given {
		scores[i] = loss.nats
		if by == RankByMean {
			scores[i] /= float64(loss.tokens)
		}
	}
	if by != RankByGain {
		return scores, nil
	}
	var without examples
	for _, i := range list.index {
		without.add(WithoutPicture(list.distinct[i]))
	}
	alone, err := m.targetLosses(ctx, nil, without)
	if err != nil {
		return nil, fmt.Errorf("without the picture: %w", err)
	}
	for i, loss := range alone {
		scores[i] -= loss.nats
	}
	return scores, nil
}

// examples is a list of examples in which equal ones are computed once.
type examples struct {
	distinct []adapters.Example
	index    []int // of each example in distinct
	seen     map[string]int
}

func (l *examples) add(e adapters.Example) {
	key := fmt.Sprintf("%#v", e)
	i, ok := l.seen[key]
	if !ok {
		if l.seen == nil {
			l.seen = map[string]int{}
		}
		i = len(l.distinct)
		l.seen[key] = i
		l.distinct = append(l.distinct, e)
	}
	l.index = append(l.index, i)
}

// targetLoss is the loss of an example's target.
type targetLoss struct {
	nats   float64
	tokens int32
}

// rankRows is how many examples one request has at most.
const rankRows = 256

// targetLosses returns the loss of each example.
func (m *Model) targetLosses(ctx context.Context, soft *adapters.Tensor, list examples) ([]targetLoss, error) {
	var distinct []targetLoss
	for part := range slices.Chunk(list.distinct, rankRows) {
		req := &adapters.LossRequest{Prompts: soft, Examples: part}
		resp, err := m.Language.Loss(ctx, req)
		if err != nil {
			return nil, BlameText(ctx, m.Language, req, err)
		}
		for i, nats := range resp.Loss {
			distinct = append(distinct, targetLoss{float64(nats), resp.Tokens[i]})
		}
	}
	losses := make([]targetLoss, len(list.index))
	for i, at := range list.index {
		losses[i] = distinct[at]
	}
	return losses, nil
}
