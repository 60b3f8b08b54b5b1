package t5

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters/internal/lm"
	"github.com/modular-bridging/bridge/internal/tensortest"
	"github.com/modular-bridging/bridge/internal/weights"
)

// Tables of tokens are tied by their values, the first that exists standing for a missing
// shared one.
func TestTables(t *testing.T) {
	const sharedFile, encoderFile, decoderFile = shared + ".weight", encoderTable + ".weight", decoderTable + ".weight"
	for _, test := range []struct {
		name                   string
		edit                   func(dir string)
		encoder, decoder, head string
	}{
		{"own head", func(string) {}, shared, shared, head},
		{"tied head", func(dir string) { tensortest.Drop(t, dir, head+".weight") }, shared, shared, shared},
		{"equal copies", func(dir string) {
			tensortest.Add(t, dir, encoderFile, sharedFile)
			tensortest.Add(t, dir, decoderFile, sharedFile)
		}, shared, shared, head},
		{"own decoder's", func(dir string) {
			tensortest.Add(t, dir, decoderFile, sharedFile)
			tensortest.Change(t, dir, decoderFile)
		}, shared, decoderTable, head},
		{"no shared", func(dir string) {
			tensortest.Add(t, dir, encoderFile, sharedFile)
			tensortest.Add(t, dir, decoderFile, sharedFile)
			tensortest.Change(t, dir, decoderFile)
			tensortest.Drop(t, dir, sharedFile)
		}, shared, decoderTable, head},
	} {
		dir := tensortest.Copy(t, "testdata/golden-flan/checkpoint")
		test.edit(dir)
		folder, err := weights.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		c, err := readConfig(folder)
		if err == nil {
			err = folder.Check(c.tensorSpecs(), c.unused().Has)
		}
		if got := c.tables; err != nil || got.encoder != test.encoder || got.decoder != test.decoder || got.head != test.head {
			t.Errorf("%s: tables %+v, error %v; want %s, %s, %s", test.name, got, err, test.encoder, test.decoder, test.head)
		}
		folder.Close()
	}
}

// The values are those of transformers' T5Config.
func TestScaleFollowsTheConfiguration(t *testing.T) {
	yes, no := new(true), new(false)
	for _, test := range []struct {
		tie, scale *bool
		want       bool
	}{{nil, nil, true}, {no, nil, false}, {yes, nil, true}, {yes, no, false}, {no, yes, true}} {
		if got := (config{TieWordEmbeddings: test.tie, ScaleDecoderOutputs: test.scale}).scaled(); got != test.want {
			t.Errorf("%+v: scaled %v", test, got)
		}
	}
}

// Generation and training start and end with the same tokens.
func TestGenerationConfigAgreesWithConfig(t *testing.T) {
	for settings, want := range map[string]string{
		`{"decoder_start_token_id": 5}`:  "decoder_start_token_id is 5",
		`{"eos_token_id": 5}`:            "eos_token_id is [5]",
		`{"eos_token_id": [1, 1000000]}`: "eos_token_id 1000000",
		`{"eos_token_id": [5, 1]}`:       "",
	} {
		dir := tensortest.Copy(t, "testdata/golden-flan/checkpoint")
		if err := os.WriteFile(filepath.Join(dir, "generation_config.json"), []byte(settings), 0o644); err != nil {
			t.Fatal(err)
		}
		folder, err := weights.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		c, err := readConfig(folder)
		if err == nil {
			_, err = c.generationDefaults(folder)
		}
		if want == "" && (err != nil || !slices.Equal(c.EOSTokenID, lm.TokenIDs{1, 5})) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: ends %v, error %v; want %q", settings, c.EOSTokenID, err, want)
		}
		folder.Close()
	}
}
