package vision

import "testing"

func TestNextBatch(t *testing.T) {
	sizes := map[int]bool{}
	for n := 1; n <= 3*maxBatch; n++ {
		take, batch := nextBatch(n)
		if take < 1 || take > n || batch < take || 3*batch > 4*take {
			t.Errorf("nextBatch(%d) = %d in %d", n, take, batch)
		}
		sizes[batch] = true
	}
	if len(sizes) > 8 {
		t.Errorf("%d batch sizes, each a compiled graph, want at most 8", len(sizes))
	}
}
