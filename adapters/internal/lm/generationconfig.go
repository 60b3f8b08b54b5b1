package lm

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"math"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/jsonfile"
	"github.com/modular-bridging/bridge/internal/weights"
)

const generationFile = "generation_config.json"

// GenerationDefaults are the settings of a folder's generation_config.json. Those of a whole
// BLIP-2 are not its language model's: transformers does not read them there.
type GenerationDefaults struct {
	End   TokenIDs // eos_token_id; nil if the file has none
	Start *int32   // decoder_start_token_id

	maxNewTokens, minNewTokens, numBeams int // 0 if the file has none
	repetitionPenalty, temperature, topP float64
	lengthPenalty                        *float64
}

// ReadGenerationDefaults reads generation_config.json, if there is one. It refuses settings that
// transformers applies and bridge does not have, unless they have no effect (docs/tokenizers.md).
func ReadGenerationDefaults(folder *weights.Folder) (GenerationDefaults, error) {
	var d GenerationDefaults
	keys := map[string]json.RawMessage{}
	if _, err := folder.DecodeFile(generationFile, &keys); err != nil {
		return d, err
	}
	into := map[string]any{
		"eos_token_id": &d.End, "decoder_start_token_id": &d.Start,
		"max_new_tokens": &d.maxNewTokens, "min_new_tokens": &d.minNewTokens, "num_beams": &d.numBeams,
		"repetition_penalty": &d.repetitionPenalty, "length_penalty": &d.lengthPenalty, "temperature": &d.temperature, "top_p": &d.topP,
	}
	if folder.ConfigKey("eos_token_id") != "eos_token_id" { // a part of a BLIP-2
		into = map[string]any{"eos_token_id": &d.End}
		keys = map[string]json.RawMessage{"eos_token_id": keys["eos_token_id"]}
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		value := keys[key]
		if target := into[key]; target != nil && len(value) > 0 {
			if err := jsonfile.DecodePart(folder.Path(generationFile), key, value, target); err != nil {
				return d, err
			}
		}
		if neutral, known := unsupportedGeneration()[key]; known && !isNeutral(value, neutral) {
			return d, adapters.Errorf(adapters.Unsupported, "%s: %s is %s, which bridge does not apply", folder.Path(generationFile), key, value).
				WithRemedy("remove %s from the file if you want answers without it", key)
		}
	}
	return d, d.check(folder)
}

// check returns an error for values that no request could have.
func (d GenerationDefaults) check(folder *weights.Folder) error {
	for _, f := range []struct {
		key string
		got float64
		ok  bool
	}{
		{"max_new_tokens", float64(d.maxNewTokens), d.maxNewTokens >= 0},
		{"min_new_tokens", float64(d.minNewTokens), d.minNewTokens >= 0},
		{"num_beams", float64(d.numBeams), d.numBeams >= 0},
		{"repetition_penalty", d.repetitionPenalty, d.repetitionPenalty >= 0 && d.repetitionPenalty <= math.MaxFloat32},
		{"temperature", d.temperature, d.temperature >= 0 && d.temperature <= math.MaxFloat32},
		{"top_p", d.topP, d.topP >= 0 && d.topP <= 1},
	} {
		if !f.ok {
			return adapters.Errorf(adapters.Corrupt, "%s: %s is %v, which no generation can have", folder.Path(generationFile), f.key, f.got).
				WithRemedy("correct the file")
		}
	}
	return nil
}

// over returns options with the defaults where the request says nothing.
func (d GenerationDefaults) over(o adapters.GenerateOptions) adapters.GenerateOptions {
	if o.MinNewTokens == 0 && (o.MaxNewTokens == 0 || d.minNewTokens <= o.MaxNewTokens) {
		o.MinNewTokens = d.minNewTokens
	}
	o.MaxNewTokens = cmp.Or(o.MaxNewTokens, d.maxNewTokens)
	o.RepetitionPenalty = cmp.Or(o.RepetitionPenalty, d.repetitionPenalty)
	if o.LengthPenalty == nil {
		o.LengthPenalty = d.lengthPenalty
	}
	o.Temperature, o.TopP = cmp.Or(o.Temperature, d.temperature), cmp.Or(o.TopP, d.topP)
	if !o.Sample {
		o.NumBeams = cmp.Or(o.NumBeams, d.numBeams)
	}
	return o
}

// unsupportedGeneration lists the settings that transformers applies and no request has, with
// the values that have no effect beside null.
func unsupportedGeneration() map[string][]string {
	return map[string][]string{
		"min_length": {"0"}, "max_time": nil, "stop_strings": {"[]"}, "early_stopping": {"false"},
		"no_repeat_ngram_size": {"0"}, "encoder_no_repeat_ngram_size": {"0"}, "encoder_repetition_penalty": {"1", "1.0"},
		"bad_words_ids": {"[]"}, "force_words_ids": {"[]"}, "constraints": {"[]"}, "sequence_bias": {"{}", "[]"},
		"forced_bos_token_id": nil, "forced_eos_token_id": nil, "suppress_tokens": {"[]"}, "begin_suppress_tokens": {"[]"},
		"exponential_decay_length_penalty": nil, "guidance_scale": {"1", "1.0"}, "renormalize_logits": {"false"}, "watermarking_config": nil,
		"num_beam_groups": {"1"}, "diversity_penalty": {"0", "0.0"}, "penalty_alpha": {"0", "0.0"}, "dola_layers": nil, "token_healing": {"false"},
		"min_p": {"0", "0.0"}, "top_h": nil, "typical_p": {"1", "1.0"}, "epsilon_cutoff": {"0", "0.0"}, "eta_cutoff": {"0", "0.0"},
	}
}

// isNeutral reports whether a value is null or one of those without effect.
func isNeutral(value json.RawMessage, neutral []string) bool {
	text := string(bytes.TrimSpace(value))
	return text == "null" || slices.Contains(neutral, text)
}

// Ends returns the ids that end an answer, the first of which is scored: those of
// generation_config.json or, without it, of config.json. If both have ids, the first of
// config.json that the other file has too is the first.
func (d GenerationDefaults) Ends(config TokenIDs) TokenIDs {
	if len(d.End) == 0 {
		return config
	}
	ids := slices.Clone(d.End)
	for _, id := range config {
		if at := slices.Index(ids, id); at >= 0 {
			return slices.Insert(slices.Delete(ids, at, at+1), 0, id)
		}
	}
	return ids
}
