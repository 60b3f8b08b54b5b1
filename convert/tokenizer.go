package convert

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/weights"
	"github.com/modular-bridging/bridge/tokenizer"
)

// imageToken stands for a picture's soft prompts in transformers' input.
const imageToken = "<image>"

// Files that belong to a tokenizer, to a processor and to generation.
var (
	tokenizerFiles = []string{"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
		"vocab.json", "merges.txt", "spiece.model", "tokenizer.model", "vocab.txt", "chat_template.jinja"}
	processorFiles = []string{"preprocessor_config.json", "processor_config.json"}
)

const generationFile = "generation_config.json"

// languageTokenizer is a language model's tokenizer with the token of pictures.
type languageTokenizer struct {
	*tokenizer.Tokenizer
	defaults   adapters.TokenizerDefaults
	dir        string
	image      int  // id of imageToken
	vocabulary int  // embeddings of the model
	known      bool // the folder's tokenizer has imageToken
}

func openLanguageTokenizer(ctx context.Context, f *weights.Folder, defaults adapters.TokenizerDefaults) (*languageTokenizer, error) {
	tok, err := tokenizer.Open(ctx, f.Dir(), defaults)
	if err != nil {
		return nil, err
	}
	w := &languageTokenizer{Tokenizer: tok, defaults: defaults, dir: f.Dir(), vocabulary: embeddings(f)}
	id, known := tok.IDOf(imageToken)
	if w.known = known; !known {
		if err := tok.AddTokens([]string{imageToken}); err != nil {
			tok.Close()
			return nil, err
		}
		id, _ = tok.IDOf(imageToken)
	}
	w.image = int(id)
	return w, nil
}

// single returns the id of a text that is one token.
func (w *languageTokenizer) single(text string) (id int, ok bool) {
	encoded, err := w.Encode(text, false)
	if err != nil || len(encoded.IDs) != 1 {
		return 0, false
	}
	return int(encoded.IDs[0]), true
}

// embeddings returns the number of tokens that a language model has weights for:
// config.json may leave out vocab_size.
func embeddings(f *weights.Folder) int {
	for _, name := range f.Names() {
		if v, _ := f.Tensor(name); isTokenTable(name) && len(v.Shape) == 2 {
			return v.Shape[0]
		}
	}
	return 0
}

// number returns the first of the keys that is a number, or otherwise.
func number(config map[string]any, otherwise int, keys ...string) int {
	for _, key := range keys {
		switch v := config[key].(type) {
		case json.Number:
			if n, err := v.Int64(); err == nil {
				return int(n)
			}
		case int:
			return v
		}
	}
	return otherwise
}

// addTokenizer adds the tokenizer's files, with the token of pictures.
func (c *Checkpoint) addTokenizer(w *languageTokenizer) error {
	if err := c.copyFiles(w.dir, tokenizerFiles); err != nil {
		return err
	}
	text, err := w.withImage(c.textConfig())
	if err != nil {
		return err
	}
	c.Files["tokenizer.json"] = text
	delete(c.Files, "added_tokens.json") // they stand in tokenizer.json
	if _, ok := c.Files["tokenizer_config.json"]; ok {
		return nil
	}
	config := map[string]any{"tokenizer_class": "PreTrainedTokenizerFast"}
	for key, id := range map[string]string{"bos_token": "bos_token_id", "eos_token": "eos_token_id", "pad_token": "pad_token_id"} {
		if n := number(c.textConfig(), -1, id); n >= 0 && w.Token(int32(n)) != "" {
			config[key] = w.Token(int32(n))
		}
	}
	data, err := json.MarshalIndent(config, "", "  ")
	c.Files["tokenizer_config.json"] = append(data, '\n')
	return err
}

// withImage returns the tokenizer.json with the token of pictures, and with the bos token
// before a text if the family's tokenizer adds one.
func (w *languageTokenizer) withImage(config map[string]any) ([]byte, error) {
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(w.JSON(), &doc); err != nil {
		return nil, err
	}
	if !w.known {
		var added []json.RawMessage
		if raw, ok := doc["added_tokens"]; ok {
			if err := json.Unmarshal(raw, &added); err != nil {
				return nil, err
			}
		}
		added = append(added, json.RawMessage(fmt.Sprintf(
			`{"id":%d,"content":%q,"single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}`, w.image, imageToken)))
		var err error
		if doc["added_tokens"], err = json.Marshal(added); err != nil {
			return nil, err
		}
	}
	if err := w.addBOS(doc, config); err != nil {
		return nil, err
	}
	return json.Marshal(doc)
}

// addBOS makes the tokenizer add the bos token before a text, if the family's tokenizer
// does and tokenizer.json does not.
func (w *languageTokenizer) addBOS(doc map[string]json.RawMessage, config map[string]any) error {
	if !w.defaults.BOS {
		return nil
	}
	special, _ := w.IDOf(w.defaults.SpecialToken)
	bos := number(config, int(special), "bos_token_id")
	got, err := w.Encode("a", true)
	if err != nil || len(got.IDs) > 0 && int(got.IDs[0]) == bos {
		return err
	}
	token := w.Token(int32(bos))
	if token == "" {
		return adapters.Errorf(adapters.Corrupt, "%s: the tokenizer has no token of id %d, the model's bos_token_id", w.dir, bos)
	}
	type object = map[string]any
	doc["post_processor"], err = json.Marshal(object{
		"type":           "TemplateProcessing",
		"single":         []object{{"SpecialToken": object{"id": token, "type_id": 0}}, {"Sequence": object{"id": "A", "type_id": 0}}},
		"pair":           []object{{"SpecialToken": object{"id": token, "type_id": 0}}, {"Sequence": object{"id": "A", "type_id": 0}}, {"Sequence": object{"id": "B", "type_id": 1}}},
		"special_tokens": object{token: object{"id": token, "ids": []int{bos}, "tokens": []string{token}}},
	})
	return err
}
