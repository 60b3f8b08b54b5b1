package jsonvalue

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestParseReadsWhatPythonReads(t *testing.T) {
	for text, want := range map[string]any{
		`{"a": NaN, "b": [-Infinity, Infinity, 1], "c": "NaN \" Infinity"}`: Object{"a": nil, "b": []any{nil, nil, json.Number("1")}, "c": `NaN " Infinity`},
		`"\ud83d\udc36 \\ud83d"`: "\U0001f436 \\ud83d",
		` null `:                 nil,
		`{"A": 1, "a": 2}`:       Object{"A": json.Number("1"), "a": json.Number("2")},
		`"\ufffd"`:               "\ufffd",
	} {
		if got, err := Parse([]byte(text)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %#v (%v), want %#v", text, got, err, want)
		}
	}
}

func TestParseRefusesWhatIsNoText(t *testing.T) {
	for text, want := range map[string]string{
		"\"caf\xe9\"":          "is not UTF-8 at its byte 4",
		`"\ud83d"`:             "half of a surrogate pair",
		`"\udc36\ud83d"`:       "half of a surrogate pair",
		`"\ud83d\u0041"`:       "half of a surrogate pair",
		`{"a": 1} 2`:           "more follows",
		``:                     "it is empty",
		`{"a": nan}`:           "is no JSON",
		`{"a": NaN, "b": bad}`: "is no JSON",
	} {
		if got, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v (%v), want %q", text, got, err, want)
		}
	}
}

func TestIDsAreComparedByWhatTheySay(t *testing.T) {
	for text, want := range map[string]string{`7`: "7", `7.0`: "7", `"7"`: "7", `-0`: "0", `12345678901234567890`: "12345678901234567890", `null`: "", `[]`: "", `"a b"`: "a b"} {
		v, err := Parse([]byte(text))
		if got := ID(v); err != nil || got != want {
			t.Errorf("%s: %q (%v), want %q", text, got, err, want)
		}
	}
}
