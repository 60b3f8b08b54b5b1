package recipes

import (
	"math"
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/eval"
	"github.com/modular-bridging/bridge/train"
)

// UntilOld is the value of evaluation.until for the quality of the bridge that a swap starts from.
const UntilOld = "old"

// UntilPatience is the number of evaluations in a row that do not come nearer, after which a run
// ends ([train.Until]).
const UntilPatience = 5

// untilMetrics are the metrics that evaluation.until can name, with the largest value of each.
var untilMetrics = map[string]struct {
	metric string
	most   float64
}{
	"exact match": {eval.MetricExactMatch, 1},
	"cider-d":     {eval.MetricCIDErD, 10},
	"loss":        {eval.MetricLoss, math.Inf(1)},
}

// parseUntil reads a metric and a value, such as "exact match 0.95". It reports false if the text
// is not of this form.
func parseUntil(text string) (u train.Until, ok bool) {
	fields := strings.Fields(strings.ToLower(text))
	if len(fields) < 2 {
		return u, false
	}
	last := len(fields) - 1
	found, ok := untilMetrics[strings.Join(fields[:last], " ")]
	value, err := strconv.ParseFloat(fields[last], 64)
	if !ok || err != nil || !(value > 0 && value <= found.most) || math.IsInf(value, 1) {
		return u, false
	}
	return train.Until{Metric: found.metric, Value: value, Patience: UntilPatience}, true
}

func (r *Recipe) checkUntil() {
	text := r.Evaluation.Until
	if text == "" {
		return
	}
	r.want("evaluation.until", r.Stage == 2, "is given, but only a stage-2 run has captions and a loss of captions to end by")
	if text == UntilOld {
		r.want("evaluation.until", r.From != "", "is %q, but the recipe starts from no bridge", text)
		return
	}
	_, ok := parseUntil(text)
	r.want("evaluation.until", ok, `is %q, want "old", or a metric and a value: "exact match 0.95" (above 0, at most 1), "CIDEr-D 1.2" (at most 10) or "loss 0.02"`, text)
}

// until returns the plan's Until. It is nil if the recipe has none, or "old", which only a run
// can measure.
func (r *Recipe) until() *train.Until {
	if u, ok := parseUntil(r.Evaluation.Until); ok {
		return &u
	}
	return nil
}
