package plugins

import (
	"reflect"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

// All of a request but the callback crosses the boundary.
func TestLoadRequestCrosses(t *testing.T) {
	layer := -2
	want := adapters.LoadRequest{ID: "id", Checkpoint: "/dir", Backend: "go", DType: adapters.BFloat16, FeatureLayer: &layer, Activation: "gelu", ImageSize: adapters.Size{Width: 96, Height: 64}}
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

// filled sets every field below v to something that is not zero.
func filled(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			filled(t, v.Field(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			filled(t, v.Index(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			filled(t, v.Index(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		filled(t, v.Elem())
	case reflect.String:
		v.SetString("text")
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint8:
		v.SetUint(3)
	case reflect.Float32:
		v.SetFloat(0.5)
	case reflect.Func: // does not cross
	default:
		t.Fatalf("a %s", v.Type())
	}
}

// No field of a request is lost on the way, but for the function.
func TestLoadRequestCrossesWhole(t *testing.T) {
	var want adapters.LoadRequest
	filled(t, reflect.ValueOf(&want).Elem())
	if got := loadFromWire(loadToWire("family", &want)); !reflect.DeepEqual(got, &want) {
		t.Errorf("got %+v, sent %+v", got, want)
	}
}

// No field of a vision spec is lost on the way.
func TestVisionSpecCrossesWhole(t *testing.T) {
	var want adapters.VisionSpec
	filled(t, reflect.ValueOf(&want).Elem())
	if got := visionSpecFromWire(visionSpecToWire(want)); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, sent %+v", got, want)
	}
}
