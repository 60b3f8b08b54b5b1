package metrics_test

import (
	"fmt"

	"github.com/modular-bridging/bridge/eval/metrics"
)

func ExampleVQAAccuracy() {
	people := []string{"2", "two", "two dogs", "3", "a pair", "2", "pair", "3", "4", "2 dogs"}
	for _, answer := range []string{"Two.", "the pair", "two dogs", "5"} {
		fmt.Printf("%s: %.1f\n", answer, metrics.VQAAccuracy(answer, people))
	}
	// Output:
	// Two.: 0.9
	// the pair: 0.6
	// two dogs: 0.6
	// 5: 0.0
}
