package train_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/train/metrics"
)

func kitSplit(name string) kit.Split { return kit.Split(name) }

// readMetric returns a figure's values, step by step.
func readMetric(t *testing.T, dir, key string) []float64 {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, metrics.File))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var values []float64
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var line map[string]float64
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		if v, ok := line[key]; ok {
			values = append(values, v)
		}
	}
	if len(values) < 4 {
		t.Fatalf("%d values of %s", len(values), key)
	}
	return values
}

func mean(values []float64) float64 {
	var sum float64
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}
