package t5

import (
	"encoding/json"
	"os"
	"testing"
)

// buckets.json holds transformers' rows for distances on both sides
// (tools/reference/t5.py).
func TestBucketsAreTransformers(t *testing.T) {
	data, err := os.ReadFile("testdata/buckets.json")
	if err != nil {
		t.Fatal(err)
	}
	var tables []struct {
		Buckets       int   `json:"buckets"`
		MaxDistance   int   `json:"max_distance"`
		Bidirectional bool  `json:"bidirectional"`
		First         int   `json:"first"`
		Rows          []int `json:"rows"`
	}
	if err := json.Unmarshal(data, &tables); err != nil || len(tables) == 0 {
		t.Fatalf("%d tables: %v", len(tables), err)
	}
	for _, table := range tables {
		for i, want := range table.Rows {
			distance := table.First + i
			if got := bucket(distance, table.Buckets, table.MaxDistance, table.Bidirectional); got != want {
				t.Errorf("%d buckets to %d, bidirectional %v: distance %d has row %d, want %d",
					table.Buckets, table.MaxDistance, table.Bidirectional, distance, got, want)
			}
		}
	}
}
