package tokenizer

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// bpeConfig is the configuration of a byte-level tokenizer in a folder without
// tokenizer.json.
type bpeConfig struct {
	bos            string // the token before every text; "" for none
	addPrefixSpace bool
	added          []addedToken
}

// addedToken is an entry of tokenizer.json's added_tokens.
type addedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// name is a token in a configuration file: a string, or an object that holds it.
type name string

// UnmarshalJSON reads either form.
func (n *name) UnmarshalJSON(text []byte) error {
	var object struct {
		Content string `json:"content"`
	}
	if len(text) > 0 && text[0] == '{' {
		err := json.Unmarshal(text, &object)
		*n = name(object.Content)
		return err
	}
	return json.Unmarshal(text, (*string)(n))
}

// specialNames are the named special tokens of special_tokens_map.json and of
// tokenizer_config.json.
type specialNames struct {
	BOS name `json:"bos_token"`
	EOS name `json:"eos_token"`
	UNK name `json:"unk_token"`
	PAD name `json:"pad_token"`
}

// readBPEConfig reads a folder's configuration files. Only GPT-2's tokenizer class, which
// OPT shares, can be assembled from vocab.json and merges.txt alone.
func readBPEConfig(dir string, defaults adapters.TokenizerDefaults) (bpeConfig, error) {
	var config struct {
		specialNames
		AddBOS         *bool                 `json:"add_bos_token"`
		AddEOS         bool                  `json:"add_eos_token"`
		AddPrefixSpace bool                  `json:"add_prefix_space"`
		Added          map[string]addedToken `json:"added_tokens_decoder"`
	}
	var names specialNames
	var extra map[string]int32
	for file, into := range map[string]any{
		"tokenizer_config.json": &config, "special_tokens_map.json": &names, "added_tokens.json": &extra,
	} {
		if err := readJSON(dir, file, into); err != nil {
			return bpeConfig{}, err
		}
	}
	class, err := readClass(dir, defaults)
	if err != nil {
		return bpeConfig{}, err
	}
	if cmp.Or(strings.TrimSuffix(class.given, "Fast"), defaults.Class) != "GPT2Tokenizer" {
		return bpeConfig{}, adapters.Errorf(adapters.Unsupported,
			"no tokenizer.json in %s, and vocab.json and merges.txt are enough only for GPT-2's and OPT's tokenizer: got tokenizer_class %q, model_type %q",
			dir, class.given, defaults.ModelType).WithRemedy(writeRemedy)
	}

	if config.AddEOS {
		return bpeConfig{}, adapters.Errorf(adapters.Unsupported, "%s/tokenizer_config.json: add_eos_token is true, and no end is added behind the text of a decoder", dir).
			WithRemedy("remove the key")
	}
	f := bpeConfig{addPrefixSpace: config.AddPrefixSpace}
	if config.Added != nil { // as in transformers, the old files do not count beside it
		names, extra = specialNames{}, nil
	}
	fallback := name(cmp.Or(defaults.SpecialToken, "<|endoftext|>"))
	bos := cmp.Or(names.BOS, config.BOS, fallback)
	if config.AddBOS != nil && *config.AddBOS || config.AddBOS == nil && defaults.BOS {
		f.bos = string(bos)
	}
	none, err := noBOS(dir)
	if err != nil {
		return bpeConfig{}, err
	}
	if none && names.BOS == "" {
		f.bos = ""
	}
	f.add(config.Added, extra, bos,
		cmp.Or(names.EOS, config.EOS, fallback), cmp.Or(names.UNK, config.UNK, fallback), cmp.Or(names.PAD, config.PAD))
	return f, nil
}

// noBOS reports whether tokenizer_config.json says that there is no bos token.
func noBOS(dir string) (bool, error) {
	var keys map[string]json.RawMessage
	err := readJSON(dir, configName, &keys)
	return string(keys["bos_token"]) == "null", err
}

// add collects the added tokens. The id -1 means that the vocabulary has the id.
func (f *bpeConfig) add(decoder map[string]addedToken, extra map[string]int32, special ...name) {
	for id, token := range decoder {
		if _, err := fmt.Sscan(id, &token.ID); err == nil {
			f.added = append(f.added, token)
		}
	}
	for token, id := range extra {
		f.added = append(f.added, addedToken{ID: id, Content: token})
	}
	for _, token := range special {
		f.added = append(f.added, addedToken{ID: -1, Content: string(token), Normalized: true, Special: true})
	}
}

// bpe is a byte-level BPE vocabulary.
type bpe struct {
	vocab  map[string]int32
	merges [][2]string
}

// parseMerges reads merges.txt: two tokens a line, the most important first.
func parseMerges(text []byte) ([][2]string, error) {
	merges := [][2]string{}
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSuffix(line, "\r")
		if line == "" || strings.HasPrefix(line, "#version") {
			continue
		}
		left, right, ok := strings.Cut(line, " ")
		if !ok || left == "" || right == "" || strings.Contains(right, " ") {
			return nil, fmt.Errorf("line %d: got %q, want two tokens and one space between them", i+1, line)
		}
		merges = append(merges, [2]string{left, right})
	}
	return merges, nil
}

// object is a JSON object.
type object map[string]any

// tokenizerJSON writes the tokenizer.json that transformers makes of the same
// files (GPT2Converter in its convert_slow_tokenizer.py).
func (b *bpe) tokenizerJSON(f bpeConfig) ([]byte, error) {
	added, err := b.resolve(f.added)
	if err != nil {
		return nil, err
	}
	post := object{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true}
	if f.bos != "" {
		if post, err = b.bosTemplate(f.bos, added); err != nil {
			return nil, err
		}
	}
	return json.Marshal(object{
		"version":        "1.0",
		"truncation":     nil,
		"padding":        nil,
		"added_tokens":   added,
		"normalizer":     nil,
		"pre_tokenizer":  object{"type": "ByteLevel", "add_prefix_space": f.addPrefixSpace, "trim_offsets": true, "use_regex": true},
		"post_processor": post,
		"decoder":        object{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
		"model": object{
			"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": "",
			"end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false,
			"vocab": b.vocab, "merges": b.merges,
		},
	})
}

// bosTemplate returns the post-processor that puts one token before a text.
func (b *bpe) bosTemplate(bos string, added []addedToken) (object, error) {
	at := slices.IndexFunc(added, func(t addedToken) bool { return t.Content == bos })
	if at < 0 {
		return nil, adapters.Errorf(adapters.Corrupt, "vocab.json lacks the token %q that goes in front of every text: bos_token of tokenizer_config.json or special_tokens_map.json", bos)
	}
	token := func(kind, id string, typeID int) object { return object{kind: object{"id": id, "type_id": typeID}} }
	return object{
		"type":   "TemplateProcessing",
		"single": []object{token("SpecialToken", bos, 0), token("Sequence", "A", 0)},
		"pair": []object{token("SpecialToken", bos, 0), token("Sequence", "A", 0),
			token("SpecialToken", bos, 1), token("Sequence", "B", 1)},
		"special_tokens": object{bos: object{"id": bos, "ids": []int32{added[at].ID}, "tokens": []string{bos}}},
	}, nil
}

// resolve returns the added tokens in the order of their ids, each once. Named
// special tokens that the vocabulary lacks are left out: GPT-2 has no padding.
func (b *bpe) resolve(tokens []addedToken) ([]addedToken, error) {
	var out []addedToken
	for _, token := range tokens {
		id, there := b.vocab[token.Content]
		if token.ID < 0 {
			token.ID = id
			if !there {
				continue
			}
		}
		if there && id != token.ID {
			return nil, adapters.Errorf(adapters.Corrupt, "token %q has id %d in vocab.json and %d among the added tokens", token.Content, id, token.ID)
		}
		same := func(t addedToken) bool { return t.Content == token.Content }
		if at := slices.IndexFunc(out, same); at >= 0 {
			out[at].Special = out[at].Special || token.Special
		} else {
			out = append(out, token)
		}
	}
	slices.SortFunc(out, func(x, y addedToken) int { return cmp.Compare(x.ID, y.ID) })
	return out, nil
}
