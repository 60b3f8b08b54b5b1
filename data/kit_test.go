package data_test

import (
	"slices"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/kit"
)

func TestKitSaysWhatIsShown(t *testing.T) {
	d, err := data.OpenKit(kit.HeldOut, 0, adapters.ImageSpec{Width: 64, Height: 64})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for i := range d.Len() {
		seen[recordOf(d, i).Kind]++
	}
	for _, kind := range []string{"one", "pair", "count"} {
		if seen[kind] == 0 {
			t.Errorf("no picture is of kind %s: %v", kind, seen)
		}
	}
	if len(seen) != 3 || slices.Contains(recordOf(d, 0).Captions, "") {
		t.Errorf("kinds %v", seen)
	}
}
