package tokenizer

import (
	"bytes"
	"cmp"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/jsonfile"
)

// withSettings returns the text of a folder's tokenizer.json with what transformers 5 applies
// from the configuration files beside it: special and added tokens, and the space before a
// text. docs/tokenizers.md lists the keys.
func withSettings(dir string, text []byte, defaults adapters.TokenizerDefaults) ([]byte, error) {
	s, err := readBeside(dir)
	if err != nil || s == nil {
		return text, err
	}
	class, err := readClass(dir, defaults)
	if err != nil {
		return nil, err
	}
	doc := document{path: filepath.Join(dir, "tokenizer.json"), keys: map[string]json.RawMessage{}}
	if err := jsonfile.Decode(doc.path, text, &doc.keys); err != nil {
		return nil, err
	}
	if err := s.prefixSpace(&doc, class.name); err != nil {
		return nil, err
	}
	if err := s.addTokens(&doc, class.name); err != nil {
		return nil, err
	}
	if !doc.changed {
		return text, nil
	}
	return json.Marshal(doc.keys)
}

// readBeside reads the configuration files beside a tokenizer.json. It returns nil if there is
// none. special_tokens_map.json and added_tokens.json count only if tokenizer_config.json has no
// added_tokens_decoder.
func readBeside(dir string) (*settings, error) {
	s, err := readConfig(dir, (*settings).readOldBeside)
	if err != nil || len(s.keys)+len(s.added)+len(s.extra) == 0 {
		return nil, err
	}
	split, err := s.flag("split_special_tokens", false)
	if err == nil && split {
		err = s.refuse("split_special_tokens", "it is true, only whole special tokens are supported")
	}
	return s, err
}

const (
	configName = "tokenizer_config.json"
	namesName  = "special_tokens_map.json"
	addedName  = "added_tokens.json"
)

// readOldBeside reads the files that older folders have beside a tokenizer.json.
func (s *settings) readOldBeside() error { return s.readOldFiles(s.enterBeside, s.namedBeside) }

// enterBeside takes an entry of special_tokens_map.json over the keys of tokenizer_config.json.
func (s *settings) enterBeside(key string, value json.RawMessage) error {
	if !strings.HasSuffix(key, "_special_tokens") {
		s.keys[key] = value
		return nil
	}
	var more []setToken
	err := jsonfile.DecodePart(filepath.Join(s.dir, namesName), key, value, &more)
	s.extra = append(s.extra, more...)
	return err
}

// namedBeside returns the special tokens under their names: the usual ones in transformers'
// order, and then a model's own.
func (s *settings) namedBeside() ([]setToken, error) {
	keys := namedTokens()
	for key, value := range s.keys {
		if isToken(key, value) && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys[len(namedTokens()):])
	var out []setToken
	for _, key := range keys {
		var token *setToken
		if _, err := s.decode(key, &token); err != nil {
			return nil, err
		}
		if token != nil && token.Content != "" {
			out = append(out, *token)
		}
	}
	return out, nil
}

// refuse returns the error for a key of tokenizer_config.json that cannot be applied.
func (s *settings) refuse(key, why string) error {
	return adapters.Errorf(adapters.Unsupported, "%s: %s: %s", filepath.Join(s.dir, configName), key, why).
		WithRemedy("remove the key, or %s", writeRemedy)
}

// document is a tokenizer.json that is being changed.
type document struct {
	path    string
	keys    map[string]json.RawMessage
	changed bool
}

// set replaces a key.
func (d *document) set(key string, value any) error {
	raw, err := json.Marshal(value)
	d.keys[key], d.changed = raw, true
	return err
}

// addTokens gives tokenizer.json the added and special tokens of the configuration files.
func (s *settings) addTokens(d *document, class string) error {
	named, err := s.namedBeside()
	if err != nil {
		return err
	}
	if err := s.checkEnd(class); err != nil {
		return err
	}
	var added []addedToken
	if raw := d.keys["added_tokens"]; len(raw) > 0 {
		if err := jsonfile.DecodePart(d.path, "added_tokens", raw, &added); err != nil {
			return err
		}
	}
	before := slices.Clone(added)
	var vocabulary map[string]int32
	for _, token := range slices.Concat(s.added, special(named, class), special(s.extra, class)) {
		at := slices.IndexFunc(added, func(t addedToken) bool { return t.Content == token.Content })
		switch {
		case token.Content == "":
		case at >= 0:
			added[at] = token.over(added[at])
		default:
			if vocabulary == nil {
				if vocabulary, err = d.vocabulary(); err != nil {
					return err
				}
			}
			added = append(added, token.withID(nextID(token.Content, vocabulary, added), false))
		}
		if at := slices.IndexFunc(added, func(t addedToken) bool { return t.Content == token.Content }); token.id >= 0 && at >= 0 && added[at].ID != token.id {
			return adapters.Errorf(adapters.Corrupt, "%s: added_tokens_decoder of tokenizer_config.json, or added_tokens.json, gives the token %q the id %d, and by tokenizer.json it is %d",
				s.dir, token.Content, token.id, added[at].ID).WithRemedy(writeRemedy)
		}
	}
	if slices.Equal(before, added) {
		return nil
	}
	slices.SortFunc(added, func(x, y addedToken) int { return cmp.Compare(x.ID, y.ID) })
	return d.set("added_tokens", added)
}

// special returns tokens, all of them special. Qwen2Tokenizer forgets their other properties.
func special(tokens []setToken, class string) []setToken {
	out := slices.Clone(tokens)
	for i, t := range out {
		if class == "Qwen2Tokenizer" {
			out[i] = setToken{Content: t.Content, id: t.id}
		}
		out[i].Special, out[i].named = true, true
	}
	return out
}

// over returns the token in the place of one that tokenizer.json has. A name makes it
// special; added_tokens_decoder replaces its properties too.
func (t setToken) over(old addedToken) addedToken {
	if t.named || t.id < 0 {
		old.Special = true
		return old
	}
	if t.bare {
		return old // tokenizer.json counts more than added_tokens.json
	}
	return t.withID(old.ID, false)
}

// nextID returns the id of a new added token: that of the vocabulary, or the next free one.
func nextID(content string, vocabulary map[string]int32, added []addedToken) int32 {
	if id, ok := vocabulary[content]; ok {
		return id
	}
	next := int32(len(vocabulary))
	for _, t := range added {
		next = max(next, t.ID+1)
	}
	return next
}

// vocabulary returns the ids of the model's tokens.
func (d *document) vocabulary() (map[string]int32, error) {
	var model struct {
		Vocabulary json.RawMessage `json:"vocab"`
	}
	if err := jsonfile.DecodePart(d.path, "model", d.keys["model"], &model); err != nil {
		return nil, err
	}
	ids := map[string]int32{}
	if !bytes.HasPrefix(bytes.TrimSpace(model.Vocabulary), []byte("[")) {
		return ids, jsonfile.DecodePart(d.path, "model.vocab", model.Vocabulary, &ids)
	}
	var pieces [][]any
	if err := jsonfile.DecodePart(d.path, "model.vocab", model.Vocabulary, &pieces); err != nil {
		return nil, err
	}
	for i, p := range pieces {
		if len(p) > 0 {
			if text, ok := p[0].(string); ok {
				ids[text] = int32(i)
			}
		}
	}
	return ids, nil
}

// checkEnd refuses another end of an encoder's input: T5Tokenizer appends the id of eos_token.
func (s *settings) checkEnd(class string) error {
	end, err := s.content("eos_token", map[string]string{"eos_token": t5End})
	if err == nil && class == "T5Tokenizer" && end != t5End {
		err = s.refuse("eos_token", "T5Tokenizer would end texts with it, only "+t5End+" is supported")
	}
	return err
}

const t5End = "</s>"
