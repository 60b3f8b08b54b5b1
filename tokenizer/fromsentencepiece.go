package tokenizer

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
)

// fromSentencePiece makes a tokenizer.json from a folder's SentencePiece model, as
// transformers' class does. It returns nil if the folder has no such model.
func fromSentencePiece(dir string, defaults adapters.TokenizerDefaults) ([]byte, error) {
	name, data, err := readFirst(dir, "tokenizer.model", "spiece.model")
	if err != nil || data == nil {
		return nil, err
	}
	class, err := readClass(dir, defaults)
	if err != nil {
		return nil, err
	}
	s, err := readSettings(dir)
	if err != nil {
		return nil, err
	}
	build := map[string]func(*sentencePiece, *settings) (object, error){"LlamaTokenizer": llamaTokenizer, "T5Tokenizer": t5Tokenizer}[class.name]
	if build == nil {
		return nil, s.unsupported("no tokenizer.json, and %s alone is read where tokenizer_class is LlamaTokenizer or T5Tokenizer only: got tokenizer_class %q, model_type %q",
			name, class.given, defaults.ModelType)
	}
	m, err := parseSentencePiece(data)
	if err != nil {
		return nil, corrupt(dir, name, err)
	}
	if m.suffix {
		return nil, s.unsupported("%s puts the mark of spaces behind words (treat_whitespace_as_suffix), only in front is supported", name)
	}
	file, err := build(m, s)
	if err != nil {
		return nil, err
	}
	return json.Marshal(file)
}

// readFirst reads the first of the named files that the folder has.
func readFirst(dir string, names ...string) (name string, data []byte, err error) {
	for _, name := range names {
		if data, err := read(dir, name); err != nil || data != nil {
			return name, data, err
		}
	}
	return "", nil, nil
}

// tokenizerClass is transformers' class of a folder's tokenizer.
type tokenizerClass struct {
	name  string // the class that transformers 5 uses
	given string // tokenizer_class; "" if the folder names none
}

// readClass reads tokenizer_config.json and config.json.
func readClass(dir string, defaults adapters.TokenizerDefaults) (tokenizerClass, error) {
	var model, config struct {
		Class string `json:"tokenizer_class"`
	}
	if err := readJSON(dir, "config.json", &model); err != nil {
		return tokenizerClass{}, err
	}
	if err := readJSON(dir, "tokenizer_config.json", &config); err != nil {
		return tokenizerClass{}, err
	}
	c := tokenizerClass{given: cmp.Or(config.Class, model.Class)}
	c.name = strings.TrimSuffix(c.given, "Fast")
	if c.name == "" || defaults.IgnoreClass {
		c.name = defaults.Class
	}
	return c, nil
}

// vocabulary returns the pieces' ids, and the added tokens among them.
func (m *sentencePiece) vocabulary(s *settings) (ids map[string]int32, own []setToken, err error) {
	ids = map[string]int32{}
	for i, p := range m.pieces {
		if first, twice := ids[p.text]; twice {
			return nil, nil, adapters.Errorf(adapters.Corrupt, "%s: the piece %q has two ids, %d and %d", s.dir, p.text, first, i)
		}
		ids[p.text] = int32(i)
		if p.kind == controlPiece || p.kind == userPiece {
			never := false
			own = append(own, setToken{Content: p.text, Special: p.kind == controlPiece, Normalized: &never, id: -1})
		}
	}
	return ids, own, nil
}

// merges returns the pairs that make a piece, in the order of the pieces' ids and
// then of the left part's length (generate_merges in transformers'
// tokenization_utils_base.py).
func (m *sentencePiece) merges(ids map[string]int32) [][2]string {
	merges := [][2]string{}
	for _, p := range m.pieces {
		for at := range p.text {
			left, right := p.text[:at], p.text[at:]
			_, l := ids[left]
			_, r := ids[right]
			if at > 0 && l && r {
				merges = append(merges, [2]string{left, right})
			}
		}
	}
	return merges
}

// llamaTokenizer is LlamaTokenizer in transformers' tokenization_llama.py: BPE
// with bytes for unknown characters. Normalization is the identity: a model's own
// table does not count.
func llamaTokenizer(m *sentencePiece, s *settings) (object, error) {
	if m.algorithm != bpeModel {
		return nil, s.unsupported("LlamaTokenizer has a SentencePiece model of type %d, only BPE (%d) is supported", m.algorithm, bpeModel)
	}
	ids, own, err := m.vocabulary(s)
	if err != nil {
		return nil, err
	}
	defaults := map[string]string{"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
	added, err := s.addedTokens(defaults, own, ids)
	if err != nil {
		return nil, err
	}
	before, decoder, err := s.spaces()
	if err != nil {
		return nil, err
	}
	post, err := s.postProcessor(defaults, added)
	if err != nil {
		return nil, err
	}
	return object{
		"version": "1.0", "truncation": nil, "padding": nil, "added_tokens": added, "normalizer": nil,
		"pre_tokenizer": before, "post_processor": post, "decoder": decoder,
		"model": object{
			"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil, "end_of_word_suffix": nil,
			"fuse_unk": true, "byte_fallback": true, "ignore_merges": false, "vocab": ids, "merges": m.merges(ids),
		},
	}, nil
}

// spaceMark represents a space in pieces.
const spaceMark = "▁"

// spaces returns the pre-tokenizer and the decoder with which LlamaTokenizer marks spaces: it
// adds one before the first word ("first") or, with legacy, after special tokens too.
func (s *settings) spaces() (before, decoder object, err error) {
	prefix, err := s.flag("add_prefix_space", true)
	if err != nil {
		return nil, nil, err
	}
	legacy, err := s.flag("legacy", false)
	scheme := "first"
	steps := []object{{"type": "Replace", "pattern": object{"String": spaceMark}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}}
	switch {
	case !prefix:
		scheme = "never"
	case legacy:
		scheme = "always"
	}
	if prefix {
		steps = append(steps, object{"type": "Strip", "content": " ", "start": 1, "stop": 0})
	}
	return object{"type": "Metaspace", "replacement": spaceMark, "prepend_scheme": scheme, "split": false},
		object{"type": "Sequence", "decoders": steps}, err
}

// t5Tokenizer is T5Tokenizer in transformers' tokenization_t5.py: Unigram behind
// the model's own normalization, with tokens for gaps (extra_ids) at the end.
func t5Tokenizer(m *sentencePiece, s *settings) (object, error) {
	if m.algorithm != unigramModel {
		return nil, s.unsupported("T5Tokenizer has a SentencePiece model of type %d, only Unigram (%d) is supported", m.algorithm, unigramModel)
	}
	extra := 100
	if _, err := s.decode("extra_ids", &extra); err != nil {
		return nil, err
	}
	for i := extra - 1; i >= 0; i-- {
		m.pieces = append(m.pieces, piece{text: fmt.Sprintf("<extra_id_%d>", i)})
	}
	ids, own, err := m.vocabulary(s)
	if err != nil {
		return nil, err
	}
	for _, p := range m.pieces[len(m.pieces)-extra:] {
		own = append(own, setToken{Content: p.text, Special: true, id: -1})
	}
	defaults := map[string]string{"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
	added, err := s.addedTokens(defaults, own, ids)
	if err != nil {
		return nil, err
	}
	end, err := s.idOf("eos_token", defaults, added)
	if err != nil {
		return nil, err
	}
	var normalizer any
	if m.charsmap != nil {
		normalizer = object{"type": "Precompiled", "precompiled_charsmap": m.charsmap} // as base64
	}
	space := object{"type": "Metaspace", "replacement": spaceMark, "prepend_scheme": "always", "split": true}
	behind := []object{templatePart("Sequence", "A", 0), templatePart("SpecialToken", "</s>", 0)}
	return object{
		"version": "1.0", "truncation": nil, "padding": nil, "added_tokens": added, "normalizer": normalizer,
		"pre_tokenizer": object{"type": "Sequence", "pretokenizers": []object{{"type": "WhitespaceSplit"}, space}},
		"post_processor": object{"type": "TemplateProcessing", "single": behind,
			"pair":           append(behind, templatePart("Sequence", "B", 0), templatePart("SpecialToken", "</s>", 0)),
			"special_tokens": object{"</s>": templateToken("</s>", end)}},
		"decoder": space,
		"model":   object{"type": "Unigram", "unk_id": 2, "vocab": m.scores(), "byte_fallback": false},
	}, nil
}

// scores returns the pieces with their scores, as Unigram has them.
func (m *sentencePiece) scores() [][2]any {
	out := make([][2]any, len(m.pieces))
	for i, p := range m.pieces {
		out[i] = [2]any{p.text, float64(p.score)}
	}
	return out
}

// addedTokens returns the added tokens of a class with its own names.
func (s *settings) addedTokens(defaults map[string]string, own []setToken, ids map[string]int32) ([]addedToken, error) {
	named, err := s.named(defaults)
	if err != nil {
		return nil, err
	}
	return s.withIDs(named, own, ids)
}

// idOf returns the id of a named special token.
func (s *settings) idOf(key string, defaults map[string]string, added []addedToken) (int32, error) {
	content, err := s.content(key, defaults)
	if err != nil {
		return 0, err
	}
	at := slices.IndexFunc(added, func(t addedToken) bool { return t.Content == content })
	if at < 0 {
		return 0, adapters.Errorf(adapters.Corrupt, "%s: %s or %s: %s is %q, want one of the added tokens", s.dir, configName, namesName, key, content).WithRemedy(writeRemedy)
	}
	return added[at].ID, nil
}

// postProcessor returns the post-processor for add_bos_token and add_eos_token, which are
// false by default.
func (s *settings) postProcessor(defaults map[string]string, added []addedToken) (object, error) {
	single, pair, special := []object{templatePart("Sequence", "A", 0)}, []object{templatePart("Sequence", "B", 1)}, object{}
	for _, key := range []string{"bos_token", "eos_token"} {
		wanted, err := s.flag("add_"+key, false)
		if err != nil {
			return nil, err
		}
		content, err := s.content(key, defaults)
		if err != nil {
			return nil, err
		}
		if !wanted || content == "" {
			continue
		}
		id, err := s.idOf(key, defaults, added)
		if err != nil {
			return nil, err
		}
		special[content] = templateToken(content, id)
		at := 0
		if key == "eos_token" {
			at = len(single) // which is len(pair)
		}
		single = slices.Insert(single, at, templatePart("SpecialToken", content, 0))
		pair = slices.Insert(pair, at, templatePart("SpecialToken", content, 1))
	}
	return object{"type": "TemplateProcessing", "single": single, "pair": slices.Concat(single, pair), "special_tokens": special}, nil
}

// templatePart is a part of a template.
func templatePart(kind, id string, typeID int) object {
	return object{kind: object{"id": id, "type_id": typeID}}
}

// templateToken is a token that a template adds.
func templateToken(content string, id int32) object {
	return object{"id": content, "ids": []int32{id}, "tokens": []string{content}}
}
