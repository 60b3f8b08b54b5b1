package vision

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// TestResizedPositions compares with torch's bicubic interpolation
// (tools/reference/positions.py). Each case is run with and without a class
// token's row, which nothing may touch.
func TestResizedPositions(t *testing.T) {
	data, err := os.ReadFile("testdata/positions.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Side, Height, Width int
		Antialias           bool
		Table, Want         []float32
	}
	if err := json.Unmarshal(data, &cases); err != nil || len(cases) < 20 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	var worst float64
	for _, c := range cases {
		width := len(c.Table) / (c.Side * c.Side)
		got := PositionTable{Antialias: c.Antialias}.resized(c.Table, width, c.Side, c.Height, c.Width)
		class := make([]float32, width)
		for i := range class {
			class[i] = float32(100 + i)
		}
		with := PositionTable{Antialias: c.Antialias, Class: true}.resized(append(class, c.Table...), width, c.Side, c.Height, c.Width)
		if len(got) != len(c.Want) || len(with) != width+len(c.Want) {
			t.Fatalf("%d by %d: %d and %d values, want %d", c.Height, c.Width, len(got), len(with), len(c.Want))
		}
		for i, want := range c.Want {
			d := math.Abs(float64(got[i] - want))
			worst = max(worst, d)
			if !(d <= 1e-5) || with[width+i] != got[i] {
				t.Errorf("%d to %d by %d, antialias %t, value %d: %g and with a class token %g, want %g",
					c.Side, c.Height, c.Width, c.Antialias, i, got[i], with[width+i], want)
				break
			}
		}
		for i, v := range with[:width] {
			if v != float32(100+i) {
				t.Errorf("the class token's row became %v", with[:width])
				break
			}
		}
	}
	t.Logf("largest difference from torch: %.1e", worst)
}
