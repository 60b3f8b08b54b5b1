package wire

import (
	"reflect"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

// filled sets every field below v to a value other than zero.
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

// No field of a load request is lost, except the function.
func TestLoadRequestCrossesWhole(t *testing.T) {
	var want adapters.LoadRequest
	filled(t, reflect.ValueOf(&want).Elem())
	if got := DecodeLoadRequest(EncodeLoadRequest("family", &want)); !reflect.DeepEqual(got, &want) {
		t.Errorf("got %+v, sent %+v", got, want)
	}
}

// No field of a vision spec is lost.
func TestVisionSpecCrossesWhole(t *testing.T) {
	var want adapters.VisionSpec
	filled(t, reflect.ValueOf(&want).Elem())
	if got := DecodeVisionSpec(EncodeVisionSpec(want)); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, sent %+v", got, want)
	}
}

func TestOptionsCrossTheBoundary(t *testing.T) {
	zero := 0.0
	for _, o := range []adapters.GenerateOptions{
		{},
		{MaxNewTokens: 1, MinNewTokens: 2, NumBeams: 3, LengthPenalty: &zero, EarlyStopping: adapters.EarlyStoppingNever,
			RepetitionPenalty: 1.5, Sample: true, Temperature: 0.5, TopK: 4, TopP: 0.9, Seed: 1 << 63,
			Copy: 2, Stop: []string{"a", "b"}, LogProbs: true, TopLogProbs: 3},
		{EarlyStopping: adapters.EarlyStoppingTrue},
	} {
		if got := DecodeOptions(EncodeOptions(o)); !reflect.DeepEqual(got, o) {
			t.Errorf("got %+v, want %+v", got, o)
		}
	}
	w := EncodeOptions(adapters.GenerateOptions{})
	w.EarlyStopping = 1 << 20
	req := &adapters.GenerateRequest{Examples: []adapters.Example{{Segments: []adapters.Segment{adapters.TextSegment("")}}}, Options: DecodeOptions(w)}
	if err := req.Check(adapters.LanguageSpec{}); adapters.KindOf(err) != adapters.Invalid {
		t.Errorf("a value of a later version: %v, want invalid", err)
	}
}

// No field of a response to Generate is lost, and a reason of a later version is unknown.
func TestGenerateResponseCrossesWhole(t *testing.T) {
	token := adapters.TokenLogProb{Text: "a", Bytes: []byte("a"), LogProb: -1}
	with := token
	with.Top = []adapters.TokenLogProb{token, {Text: "b", LogProb: -2}}
	want := &adapters.GenerateResponse{
		Texts: []string{"x"}, Tokens: []int32{1}, InputTokens: []int32{2}, Finish: []adapters.FinishReason{adapters.FinishCanceled},
		LogProbs: [][]adapters.TokenLogProb{{with}, nil},
	}
	w := EncodeGenerateResponse(want)
	if got := DecodeGenerateResponse(w); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, sent %+v", got, want)
	}
	w.Finish[0] = 77
	if got := DecodeGenerateResponse(w).Finish[0]; got != adapters.FinishUnknown {
		t.Errorf("a reason of a later version is %v", got)
	}
}
