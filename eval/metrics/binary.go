package metrics

import (
	"cmp"
	"math"
	"slices"
)

// Binary holds the figures of yes/no decisions, from 0 to 1.
type Binary struct {
	Accuracy  float64 `json:"accuracy"`
	Precision float64 `json:"precision"` // 0 if nothing is decided positive
	Recall    float64 `json:"recall"`    // 0 if nothing is positive
	F1        float64 `json:"f1"`        // 0 if precision and recall are 0
	Positive  float64 `json:"positive"`  // the share of positive decisions
}

// BinaryOf compares decisions with the truth; of no decisions all figures are 0.
func BinaryOf(decisions, truth []bool) Binary {
	var both, decided, positive, right float64
	for i, d := range decisions {
		both += float64(count(d && truth[i]))
		decided += float64(count(d))
		positive += float64(count(truth[i]))
		right += float64(count(d == truth[i]))
	}
	n := float64(max(1, len(decisions)))
	b := Binary{Accuracy: right / n, Positive: decided / n}
	if decided > 0 {
		b.Precision = both / decided
	}
	if positive > 0 {
		b.Recall = both / positive
	}
	if both > 0 {
		b.F1 = 2 * b.Precision * b.Recall / (b.Precision + b.Recall)
	}
	return b
}

// ROCAUC returns the area under the ROC curve: how often a positive example has a higher score
// than a negative one, where equal scores count half. It equals scikit-learn's roc_auc_score,
// and is NaN if all examples are of one kind.
func ROCAUC(scores []float64, truth []bool) float64 {
	order := byScore(scores)
	var pairs, below, positives float64
	for lo := 0; lo < len(order); {
		hi, p, n := tied(scores, truth, order, lo)
		pairs += p*below + p*n/2
		below, positives = below+n, positives+p
		lo = hi
	}
	if below == 0 || positives == 0 {
		return math.NaN()
	}
	return pairs / (positives * below)
}

// AveragePrecision returns the mean of the precisions at each threshold, weighted by the gain of
// recall. It equals scikit-learn's average_precision_score, and is 0 if nothing is positive.
func AveragePrecision(scores []float64, truth []bool) float64 {
	order := byScore(scores)
	slices.Reverse(order)
	var sum, positives, seen float64
	for lo := 0; lo < len(order); {
		hi, p, n := tied(scores, truth, order, lo)
		positives, seen = positives+p, seen+p+n
		sum += p * positives / seen
		lo = hi
	}
	if positives == 0 {
		return 0
	}
	return sum / positives
}

// byScore returns the examples, the lowest score first.
func byScore(scores []float64) []int {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(scores[a], scores[b]) })
	return order
}

// tied returns the end of the examples with one score from lo on, and how many are positive and
// negative.
func tied(scores []float64, truth []bool, order []int, lo int) (hi int, positive, negative float64) {
	for hi = lo; hi < len(order) && scores[order[hi]] == scores[order[lo]]; hi++ {
		if truth[order[hi]] {
			positive++
		} else {
			negative++
		}
	}
	if hi == lo { // NaN
		hi++
	}
	return hi, positive, negative
}
