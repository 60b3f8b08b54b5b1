package tokenizer

import (
	"slices"

	"github.com/modular-bridging/bridge/adapters"
)

// BOS returns the token that the tokenizer puts before every text; ok is false if there is
// none. The post-processor decides: if there is a tokenizer.json, transformers 5 ignores
// add_bos_token. Several tokens before a text are an [adapters.Unsupported] error.
func (t *Tokenizer) BOS() (id int32, ok bool, err error) {
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

// index returns the index of part in whole, -1 if it does not occur.
func index(whole, part []int32) int {
	for i := range len(whole) - len(part) + 1 {
		if slices.Equal(whole[i:i+len(part)], part) {
			return i
		}
	}
	return -1
}
