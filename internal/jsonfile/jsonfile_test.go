package jsonfile

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
)

type inner struct {
	Eps float64 `json:"eps"`
}

// size is a type with its own UnmarshalJSON, like sizes that may be pairs.
type size int

func (s *size) UnmarshalJSON(data []byte) error {
	if string(data) == "0" {
		return adapters.Errorf(adapters.Unsupported, "size is 0").WithRemedy("grow")
	}
	return json.Unmarshal(data, (*int)(s))
}

type config struct {
	inner
	Width *int           `json:"hidden_size"`
	Act   string         `json:"hidden_act"`
	Mean  []float64      `json:"image_mean"`
	Rope  *inner         `json:"rope"`
	Tied  bool           `json:"tied"`
	Side  size           `json:"side"`
	IDs   map[string]int `json:"ids"`
	Count uint           `json:"count"`
}

func TestDecode(t *testing.T) {
	for text, want := range map[string]string{
		`{"hidden_size": "24"}`:      `hidden_size is "24", want a whole number`,
		`{"hidden_size": 1.5}`:       `hidden_size is 1.5, want a whole number`,
		`{"Hidden_Size": [1,  2]}`:   `Hidden_Size is [1, 2], want a whole number`,
		`{"eps": "x"}`:               `eps is "x", want a number`,
		`{"hidden_act": true}`:       `hidden_act is true, want text`,
		`{"image_mean": {"r": 1}}`:   `image_mean is {"r": 1}, want a list`,
		`{"image_mean": [0.5, "x"]}`: `in image_mean: got text, want a number`,
		`{"rope": {"eps": []}}`:      `rope.eps is [], want a number`,
		`{"rope": "no"}`:             `rope is "no", want an object`,
		`{"tied": "yes"}`:            `tied is "yes", want true or false`,
		`{"side": "large"}`:          `side is "large", want a whole number`,
		`{"ids": {"a": "b"}}`:        `in ids: got text, want a whole number`,
		`{"count": -1}`:              `count is -1, want a whole number of 0 or more`,
		`[]`:                         `got a list, want an object`,
		`{"hidden_act": `:            `not valid JSON: unexpected end`,
		`{"hidden_act": ["` + strings.Repeat("é", 99): `not valid JSON`,
		`{"tied": "` + strings.Repeat("é", 99) + `"}`: `tied is "` + strings.Repeat("é", 39) + `…, want`,
	} {
		err := Decode("dir/config.json", []byte(text), &config{})
		if adapters.KindOf(err) != adapters.Corrupt || !strings.Contains(err.Error(), "dir/config.json: "+want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	err := DecodePart("config.json", "text_config", []byte(`{"hidden_size": "24"}`), &config{})
	if err == nil || !strings.Contains(err.Error(), `config.json: text_config.hidden_size is "24", want`) {
		t.Errorf("in a part: %v", err)
	}
	err = DecodePart("config.json", "text_config", []byte(`3`), &config{})
	if err == nil || !strings.Contains(err.Error(), `config.json: text_config is 3, want an object`) {
		t.Errorf("a part with the wrong type: %v", err)
	}
	err = Decode("config.json", []byte(`{"side": 0}`), &config{})
	if adapters.KindOf(err) != adapters.Unsupported || !strings.HasPrefix(err.Error(), "config.json: size is 0") || !strings.Contains(err.Error(), "grow") {
		t.Errorf("a value's own error: %v", err)
	}
	var c config
	if err := Decode("config.json", []byte(`{"hidden_size": 3, "eps": 1e-5, "side": 7}`), &c); err != nil || *c.Width != 3 || c.Eps != 1e-5 || c.Side != 7 {
		t.Errorf("got %+v, %v", c, err)
	}
}
