package plugins

import (
	"reflect"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

// All of a request but the callback crosses the boundary.
func TestLoadRequestCrosses(t *testing.T) {
	layer := -2
	want := adapters.LoadRequest{ID: "id", Checkpoint: "/dir", Backend: "go", DType: adapters.BFloat16, FeatureLayer: &layer, Activation: "gelu"}
	v := reflect.ValueOf(want)
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; v.Field(i).IsZero() && name != "Progress" {
			t.Errorf("the test sets no %s", name)
		}
	}
	if got := loadFromWire(loadToWire("t5", &want)); !reflect.DeepEqual(*got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
