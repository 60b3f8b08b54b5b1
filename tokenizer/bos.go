package tokenizer

import (
	"cmp"
	"slices"

	"github.com/modular-bridging/bridge/adapters"
)

// BOS returns the token that the tokenizer puts in front of every text; ok is
// false where it puts none. It is what the file's post-processor adds or, where
// the folder's tokenizer_config.json has add_bos_token, what that says: so does
// transformers. Several tokens in front are an [adapters.Unsupported] error.
func (t *Tokenizer) BOS() (id int32, ok bool, err error) {
	if t.bos != nil {
		return t.configuredBOS()
	}
	const probe = "a"
	whole, err := t.Encode(probe, true)
	if err != nil {
		return 0, false, err
	}
	text, err := t.Encode(probe, false)
	if err != nil {
		return 0, false, err
	}
	switch front := index(whole.IDs, text.IDs); {
	case front == 0 || len(whole.IDs) == 0:
		return 0, false, nil
	case front == 1 && len(text.IDs) > 0:
		return whole.IDs[0], true, nil
	}
	return 0, false, adapters.Errorf(adapters.Unsupported, "the tokenizer makes %v of %q, and %v with special tokens: want at most one token in front",
		text.IDs, probe, whole.IDs)
}

// configuredBOS is the token of tokenizer_config.json.
func (t *Tokenizer) configuredBOS() (id int32, ok bool, err error) {
	if *t.bos == "" {
		return 0, false, nil
	}
	if id, ok = t.IDOf(*t.bos); !ok {
		return 0, false, adapters.Errorf(adapters.Corrupt, "tokenizer_config.json puts %q in front of every text, the vocabulary lacks it", *t.bos)
	}
	return id, true, nil
}

// readBOS notes what tokenizer_config.json says about the token in front.
func (t *Tokenizer) readBOS(dir string) error {
	var config struct {
		specialNames
		AddBOS *bool `json:"add_bos_token"`
	}
	var names specialNames
	if err := readJSON(dir, "tokenizer_config.json", &config); err != nil || config.AddBOS == nil {
		return err
	}
	if err := readJSON(dir, "special_tokens_map.json", &names); err != nil {
		return err
	}
	var bos string
	if *config.AddBOS {
		bos = string(cmp.Or(config.BOS, names.BOS))
	}
	t.bos = &bos
	return nil
}

// index returns where part begins in whole, -1 where it does not occur.
func index(whole, part []int32) int {
	for i := range len(whole) - len(part) + 1 {
		if slices.Equal(whole[i:i+len(part)], part) {
			return i
		}
	}
	return -1
}
