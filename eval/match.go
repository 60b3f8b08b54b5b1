package eval

import (
	"cmp"
	"context"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/eval/metrics"
)

// Caption is a caption that a model wrote, beside the true one.
type Caption struct {
	Index int    `json:"index"` // of the picture in the data set
	Got   string `json:"got"`
	Want  string `json:"want"`
	Kind  string `json:"kind,omitempty"` // of what is shown, if the data has kinds
}

// Right reports whether the texts are equal up to case and white space.
func (c Caption) Right() bool { return normal(c.Got) == normal(c.Want) }

func normal(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

// ExactMatch returns the fraction of captions that equal the first reference of their
// picture up to case and white space; 0 if there are no captions.
func ExactMatch(got []string, references [][]string) float64 {
	if len(got) == 0 {
		return 0
	}
	right := 0
	for i, text := range got {
		if (Caption{Got: text, Want: references[i][0]}).Right() {
			right++
		}
	}
	return float64(right) / float64(len(got))
}

// Rate counts right answers.
type Rate struct {
	Right int `json:"right"`
	Of    int `json:"of"`
	// Score is the sum of the answers' scores, 0 to 1 each, if questions with the answers of
	// several people are among them: VQA accuracy of those, and exact match of the others.
	// Right then counts those that score 1.
	Score float64 `json:"score,omitempty"`
	// Metric names what Score is a sum of; empty means exact match.
	Metric string `json:"metric,omitempty"`
}

// MetricVQA is the Metric of rates with questions that several people answered. It names the
// variant, because others give other figures.
const MetricVQA = "vqa_accuracy_" + string(metrics.VQAOfficial)

// Fraction returns the mean score: Score / Of if the rate has a Metric, and otherwise
// Right / Of. It is 0 if Of is 0.
func (r Rate) Fraction() float64 { return r.sum() / float64(max(1, r.Of)) }

func (r Rate) sum() float64 {
	if r.Metric != "" {
		return r.Score
	}
	return float64(r.Right)
}

// Plus returns the rate of the answers of both r and o.
func (r Rate) Plus(o Rate) Rate {
	sum := Rate{Right: r.Right + o.Right, Of: r.Of + o.Of, Metric: cmp.Or(r.Metric, o.Metric)}
	if sum.Metric != "" {
		sum.Score = r.sum() + o.sum()
	}
	return sum
}

// rates counts right answers by kind.
type rates map[string]Rate

func (r rates) add(kind string, one Rate) { r[kind] = r[kind].Plus(one) }

// matched returns the rate of one answer that was compared exactly.
func matched(right bool) Rate {
	if right {
		return Rate{Right: 1, Of: 1}
	}
	return Rate{Of: 1}
}

// MatchByKind counts the captions that match exactly, by the kind of what is shown. It
// returns nil if the captions have no kinds.
func MatchByKind(captions []Caption) map[string]Rate {
	found := rates{}
	for _, c := range captions {
		if c.Kind != "" {
			found.add(c.Kind, matched(c.Right()))
		}
	}
	if len(found) == 0 {
		return nil
	}
	return found
}

// Captions generates a caption for each row of features [B, N, Denc], greedily, and pairs
// it with the true one.
func Captions(ctx context.Context, m *bridge.Model, features *adapters.Tensor, truth []string) ([]Caption, error) {
	out := make([]Caption, 0, len(truth))
	for lo := 0; lo < len(truth); lo += batch {
		hi := min(lo+batch, len(truth))
		texts, err := m.CaptionFeatures(ctx, features.Slice(lo, hi), m.Info.Templates.Caption, bridge.GenerateOptions{MaxNewTokens: 32})
		if err != nil {
			return nil, from(lo, err)
		}
		for i, text := range texts {
			out = append(out, Caption{Index: lo + i, Got: text, Want: truth[lo+i]})
		}
	}
	return out, nil
}

// Question is a question about the picture of a row of features.
type Question struct {
	Row              int
	Question, Answer string
	Answers          []string // of several people; nil if there is one answer
	Kind             string
}

// rate returns the rate of one answer: VQA accuracy if several people answered the question,
// and otherwise exact match up to case and white space.
func (q Question) rate(got string) Rate {
	if len(q.Answers) == 0 {
		return matched(normal(got) == normal(q.Answer))
	}
	score := metrics.VQAAccuracy(got, q.Answers)
	r := matched(score == 1)
	r.Score, r.Metric = score, MetricVQA
	return r
}

// FewAnswers counts the questions with several answers, but so few that no answer scores 1.
func FewAnswers(questions []Question) (n int) {
	for _, q := range questions {
		if len(q.Answers) > 0 && len(q.Answers) < metrics.VQAFullScore {
			n++
		}
	}
	return n
}

// Answers generates an answer to each question and scores them by kind.
func Answers(ctx context.Context, m *bridge.Model, features *adapters.Tensor, questions []Question) (map[string]Rate, error) {
	found := rates{}
	for lo := 0; lo < len(questions); lo += batch {
		part := questions[lo:min(lo+batch, len(questions))]
		rows, texts := make([]int, len(part)), make([]string, len(part))
		for i, q := range part {
			rows[i], texts[i] = q.Row, q.Question
		}
		got, err := m.AnswerFeatures(ctx, features.Gather(rows), texts, bridge.GenerateOptions{MaxNewTokens: 16})
		if err != nil {
			return nil, from(lo, err)
		}
		for i, q := range part {
			found.add(q.Kind, q.rate(got[i]))
		}
	}
	return found, nil
}
