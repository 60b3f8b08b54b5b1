package decoder

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// rotary.json holds transformers' angles (tools/reference/llama.py).
func TestAnglesAreTransformers(t *testing.T) {
	data, err := os.ReadFile("testdata/rotary.json")
	if err != nil {
		t.Fatal(err)
	}
	var tables []struct {
		HeadDim int       `json:"head_dim"`
		Type    string    `json:"rope_type"`
		Theta   float64   `json:"rope_theta"`
		Factor  float64   `json:"factor"`
		Low     float64   `json:"low_freq_factor"`
		High    float64   `json:"high_freq_factor"`
		Context float64   `json:"original_max_position_embeddings"`
		Inverse []float64 `json:"inverse"`
	}
	if err := json.Unmarshal(data, &tables); err != nil || len(tables) == 0 {
		t.Fatalf("%d tables: %v", len(tables), err)
	}
	for _, table := range tables {
		r := NewRotary(table.HeadDim, table.Theta)
		switch table.Type {
		case "linear":
			r.Linear(table.Factor)
		case "llama3":
			r.Llama3(table.Factor, table.Low, table.High, table.Context)
		}
		if len(r.InverseFrequencies) != len(table.Inverse) {
			t.Fatalf("%d angles, want %d", len(r.InverseFrequencies), len(table.Inverse))
		}
		for i, want := range table.Inverse {
			if got := float64(r.InverseFrequencies[i]); math.Abs(got-want) > 3e-7*want {
				t.Errorf("%s, theta %v, factor %v: angle %d is %v, want %v", table.Type, table.Theta, table.Factor, i, got, want)
			}
		}
	}
}
