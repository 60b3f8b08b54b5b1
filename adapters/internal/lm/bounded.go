package lm

import (
	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/tokenizer"
)

// bounded is a tokenizer that may know special tokens beyond the model's
// embeddings, as the "<image>" of BLIP-2's processors: a text that holds one is
// refused.
type bounded struct {
	*tokenizer.Tokenizer
	vocabulary int
}

// EncodeBatch implements [Encoder].
func (b bounded) EncodeBatch(texts []string, addSpecial bool) ([]tokenizer.Encoding, error) {
	all, err := b.Tokenizer.EncodeBatch(texts, addSpecial)
	if err != nil {
		return nil, err
	}
	for i, e := range all {
		for _, id := range e.IDs {
			if int(id) >= b.vocabulary {
				return nil, adapters.Errorf(adapters.Invalid, "%q holds the token %s (id %d), and the model has %d embeddings", texts[i], b.Token(id), id, b.vocabulary).
					WithRemedy("leave the token out: soft prompts stand for pictures")
			}
		}
	}
	return all, nil
}

// surplus returns the first token beyond the embeddings that is no special one.
func (b bounded) surplus() (token string, found bool) {
	special := map[int32]bool{}
	for _, id := range b.SpecialIDs() {
		special[id] = true
	}
	for id := b.vocabulary; id < b.VocabSize(); id++ {
		if token := b.Token(int32(id)); token != "" && !special[int32(id)] {
			return token, true
		}
	}
	return "", false
}
