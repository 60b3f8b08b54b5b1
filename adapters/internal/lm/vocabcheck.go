package lm

import (
	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/tokenizer"
)

// vocabChecked is a tokenizer for texts that people wrote: a special token's name in them is
// text. It refuses a text with a token that the model has no embedding for. The tokenizer
// may know such tokens: BLIP-2's processors add "<image>".
type vocabChecked struct {
	*tokenizer.Tokenizer
	vocabulary int
}

// EncodeTexts implements [TextEncoder].
func (v vocabChecked) EncodeTexts(texts []string) ([]tokenizer.Encoding, error) {
	all, err := v.Tokenizer.EncodeTexts(texts)
	if err != nil {
		return nil, err
	}
	for i, e := range all {
		for _, id := range e.IDs {
			if int(id) >= v.vocabulary {
				return nil, adapters.Errorf(adapters.Invalid, "%q holds the token %s (id %d), and the model has %d embeddings", texts[i], v.Token(id), id, v.vocabulary).
					WithRemedy("leave the token out: soft prompts stand for pictures")
			}
		}
	}
	return all, nil
}

// tokenWithoutEmbedding returns the first token that has no embedding and is not
// special.
func (v vocabChecked) tokenWithoutEmbedding() (token string, found bool) {
	special := map[int32]bool{}
	for _, id := range v.SpecialIDs() {
		special[id] = true
	}
	for id := v.vocabulary; id < v.VocabSize(); id++ {
		if token := v.Token(int32(id)); token != "" && !special[int32(id)] {
			return token, true
		}
	}
	return "", false
}
