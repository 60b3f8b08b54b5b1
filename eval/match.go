package eval

import (
	"context"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
)

// Caption is what a model said of a picture.
type Caption struct {
	Index int    `json:"index"` // in the data set
	Got   string `json:"got"`
	Want  string `json:"want"`
}

// Right reports whether the texts are equal up to case and white space.
func (c Caption) Right() bool { return normal(c.Got) == normal(c.Want) }

func normal(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

// ExactMatch is the fraction of captions that are right, 0 of none.
func ExactMatch(captions []Caption) float64 {
	if len(captions) == 0 {
		return 0
	}
	right := 0
	for _, c := range captions {
		if c.Right() {
			right++
		}
	}
	return float64(right) / float64(len(captions))
}

// Captions generates a caption for each row of features [B, N, Denc], greedily,
// and puts it beside the truth.
func Captions(ctx context.Context, m *bridge.Model, features *adapters.Tensor, truth []string) ([]Caption, error) {
	out := make([]Caption, 0, len(truth))
	for lo := 0; lo < len(truth); lo += batch {
		hi := min(lo+batch, len(truth))
		texts, err := m.CaptionFeatures(ctx, features.Slice(lo, hi), m.Info.Prompts.Caption, bridge.GenerateOptions{MaxNewTokens: 32})
		if err != nil {
			return nil, err
		}
		for i, text := range texts {
			out = append(out, Caption{Index: lo + i, Got: text, Want: truth[lo+i]})
		}
	}
	return out, nil
}

// Question is a question about a row of features, with its answer and its kind.
type Question struct {
	Row                    int
	Question, Answer, Kind string
}

// Answers generates an answer to each question and returns the fraction that is
// right by kind, and the number of questions by kind.
func Answers(ctx context.Context, m *bridge.Model, features *adapters.Tensor, questions []Question) (right map[string]float64, asked map[string]int, err error) {
	right, asked = map[string]float64{}, map[string]int{}
	for lo := 0; lo < len(questions); lo += batch {
		part := questions[lo:min(lo+batch, len(questions))]
		rows, texts := make([]int, len(part)), make([]string, len(part))
		for i, q := range part {
			rows[i], texts[i] = q.Row, q.Question
		}
		got, err := m.AnswerFeatures(ctx, features.Gather(rows), texts, bridge.GenerateOptions{MaxNewTokens: 16})
		if err != nil {
			return nil, nil, err
		}
		for i, q := range part {
			asked[q.Kind]++
			if normal(got[i]) == normal(q.Answer) {
				right[q.Kind]++
			}
		}
	}
	for kind, n := range asked {
		right[kind] /= float64(n)
	}
	return right, asked, nil
}
