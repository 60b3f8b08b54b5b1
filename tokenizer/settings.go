package tokenizer

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/jsonfile"
)

// settings are a tokenizer's settings in a folder's configuration files, as transformers 5
// reads them for a SentencePiece model.
type settings struct {
	dir   string
	keys  map[string]json.RawMessage // tokenizer_config.json, and what special_tokens_map.json puts in place of it
	added []setToken                 // by id
	extra []setToken                 // extra_special_tokens
	alone bool                       // extra is all there is: the model's control pieces do not count
}

// setToken is a token as a configuration file gives it: its text alone, which
// makes it special, or an object.
type setToken struct {
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized *bool  `json:"normalized"` // nil: a special token is not
	Special    bool   `json:"special"`
	id         int32  // the file's id, -1 if it gives none
	named      bool   // it stands under a name, or is an extra token
	bare       bool   // it is from added_tokens.json, which gives the id alone
}

// UnmarshalJSON reads either form.
func (t *setToken) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		*t = setToken{Special: true, id: -1}
		return json.Unmarshal(text, &t.Content)
	}
	type plain setToken
	p := plain{id: -1}
	err := json.Unmarshal(text, &p)
	*t = setToken(p)
	return err
}

// namedTokens are the keys of the special tokens that have a use of their own,
// in the order in which transformers adds them.
func namedTokens() []string {
	return []string{"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}
}

// readSettings reads a folder's configuration files. added_tokens_decoder stands
// in the place of special_tokens_map.json and added_tokens.json.
func readSettings(dir string) (*settings, error) {
	s, err := readConfig(dir, (*settings).readOldSettings)
	if err != nil {
		return nil, err
	}
	return s, s.checkKeys()
}

// readConfig reads tokenizer_config.json. If it has no added_tokens_decoder, older reads the
// files that stand for it.
func readConfig(dir string, older func(*settings) error) (*settings, error) {
	s := &settings{dir: dir, keys: map[string]json.RawMessage{}}
	if err := readJSON(dir, configName, &s.keys); err != nil {
		return nil, err
	}
	if err := s.readExtra(); err != nil {
		return nil, err
	}
	var decoder map[string]setToken
	there, err := s.decode("added_tokens_decoder", &decoder)
	switch {
	case err != nil:
	case there:
		err = s.addDecoder(decoder)
	default:
		err = older(s)
	}
	slices.SortFunc(s.added, func(x, y setToken) int { return cmp.Compare(x.id, y.id) })
	return s, err
}

// decode reads a key into v. It leaves v unchanged if the key is missing or null.
func (s *settings) decode(key string, v any) (there bool, err error) {
	raw, there := s.keys[key]
	if !there {
		return false, nil
	}
	return true, jsonfile.DecodePart(filepath.Join(s.dir, configName), key, raw, v)
}

// readExtra reads extra_special_tokens or, by its older name,
// additional_special_tokens.
func (s *settings) readExtra() error {
	for _, key := range []string{"extra_special_tokens", "additional_special_tokens"} {
		if len(s.extra) > 0 {
			break
		}
		var extra extraTokens
		there, err := s.decode(key, &extra)
		if err != nil {
			return err
		}
		s.extra, s.alone = extra, s.alone || there
	}
	return nil
}

// extraTokens is a list of tokens, or an object that gives each a name.
type extraTokens []setToken

// UnmarshalJSON reads either form, an object in the order of its names.
func (e *extraTokens) UnmarshalJSON(text []byte) error {
	if len(text) == 0 || text[0] != '{' {
		return json.Unmarshal(text, (*[]setToken)(e))
	}
	var byName map[string]setToken
	if err := json.Unmarshal(text, &byName); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		*e = append(*e, byName[name])
	}
	return nil
}

func (s *settings) addDecoder(decoder map[string]setToken) error {
	for key, token := range decoder {
		id, err := strconv.ParseInt(key, 10, 32)
		if err != nil {
			return corrupt(s.dir, configName, fmt.Errorf("added_tokens_decoder: %q is no token id", key))
		}
		token.id = int32(id)
		s.added = append(s.added, token)
	}
	return nil
}

// readOldFiles reads the files that older folders have in place of added_tokens_decoder. It gives
// the entries of special_tokens_map.json to enter, and then takes the tokens of
// added_tokens.json: those that named returns, and extra ones, are special.
func (s *settings) readOldFiles(enter func(key string, value json.RawMessage) error, named func() ([]setToken, error)) error {
	var names map[string]json.RawMessage
	if err := readJSON(s.dir, namesName, &names); err != nil {
		return err
	}
	for key, value := range names {
		if err := enter(key, value); err != nil {
			return err
		}
	}
	var ids map[string]int32
	if err := readJSON(s.dir, addedName, &ids); err != nil {
		return err
	}
	special, err := named()
	if err != nil {
		return err
	}
	for content, id := range ids {
		s.added = append(s.added, setToken{Content: content, Special: holds(special, content) || holds(s.extra, content), id: id, bare: true})
	}
	return nil
}

// readOldSettings reads older files as transformers does for a SentencePiece model.
func (s *settings) readOldSettings() error {
	return s.readOldFiles(s.enterSetting, func() ([]setToken, error) { return s.named(nil) })
}

// enterSetting takes an entry of special_tokens_map.json.
func (s *settings) enterSetting(key string, value json.RawMessage) error {
	switch {
	case slices.Contains(namedTokens(), key): // transformers 5 forgets additional_special_tokens here
		s.keys[key] = value
	case key == "extra_special_tokens":
		var more extraTokens
		err := jsonfile.DecodePart(filepath.Join(s.dir, namesName), key, value, &more)
		s.extra, s.alone = append(s.extra, more...), true
		return err
	case isToken(key, value):
		return s.unsupported("%s names a special token %s, only %s are read", namesName, key, strings.Join(namedTokens(), ", "))
	}
	return nil
}

// named returns the named special tokens; defaults are those of the tokenizer's
// class, by key.
func (s *settings) named(defaults map[string]string) ([]setToken, error) {
	var out []setToken
	for _, key := range namedTokens() {
		var token *setToken
		there, err := s.decode(key, &token)
		if err != nil {
			return nil, err
		}
		if content := defaults[key]; !there && content != "" {
			token = &setToken{Content: content, Special: true, id: -1}
		}
		if token != nil && token.Content != "" {
			out = append(out, *token)
		}
	}
	return out, nil
}

// content returns a named special token's text, "" if there is none.
func (s *settings) content(key string, defaults map[string]string) (string, error) {
	var token *setToken
	there, err := s.decode(key, &token)
	switch {
	case err != nil || there && token == nil:
		return "", err
	case !there:
		return defaults[key], nil
	}
	return token.Content, nil
}

// flag returns a switch.
func (s *settings) flag(key string, otherwise bool) (bool, error) {
	_, err := s.decode(key, &otherwise)
	return otherwise, err
}

// checkKeys refuses what would be read wrongly: special tokens under names of a
// model's own, and special tokens that are cut into pieces.
func (s *settings) checkKeys() error {
	for key, value := range s.keys {
		if !isToken(key, value) || slices.Contains(namedTokens(), key) {
			continue
		}
		return s.unsupported("tokenizer_config.json names a special token %s, only %s are read", key, strings.Join(namedTokens(), ", "))
	}
	split, err := s.flag("split_special_tokens", false)
	if err == nil && split {
		err = s.unsupported("split_special_tokens is true in tokenizer_config.json, only whole special tokens are supported")
	}
	return err
}

// isToken reports whether a key of a configuration file names a special token.
func isToken(key string, value json.RawMessage) bool {
	return strings.HasSuffix(key, "_token") && len(value) > 0 && (value[0] == '"' || value[0] == '{')
}

func (s *settings) unsupported(format string, args ...any) error {
	return adapters.Errorf(adapters.Unsupported, "%s: %s", s.dir, fmt.Sprintf(format, args...)).WithRemedy(writeRemedy)
}

// writeRemedy is the remedy if a folder's files are not enough.
const writeRemedy = "write tokenizer.json with transformers: AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)"

// withIDs returns the added tokens as transformers adds them: those with ids,
// then named ones, then the extra ones or, if the folder lists none, own. ids are the
// model's; a token that is not among them gets the next id.
func (s *settings) withIDs(named, own []setToken, ids map[string]int32) ([]addedToken, error) {
	if s.alone {
		own = s.extra
	}
	list := slices.Clone(s.added)
	for _, token := range slices.Concat(named, own) {
		if token.Content != "" && !holds(s.added, token.Content) {
			list = append(list, token)
		}
	}
	given := map[string]int32{}
	var out []addedToken
	for _, token := range list {
		id, there := ids[token.Content]
		again, twice := given[token.Content]
		switch {
		case twice:
			id = again
		case !there:
			id = int32(len(ids))
			for _, t := range out {
				id = max(id, t.ID+1)
			}
		}
		if token.id >= 0 && token.id != id {
			return nil, adapters.Errorf(adapters.Corrupt, "%s: the configuration gives the token %q the id %d, and by the vocabulary it is %d",
				s.dir, token.Content, token.id, id).WithRemedy(writeRemedy)
		}
		given[token.Content] = id
		out = append(out, token.withID(id, holds(named, token.Content)))
	}
	return lastOfEach(out), nil
}

// withID returns the token as tokenizer.json holds it.
func (t setToken) withID(id int32, named bool) addedToken {
	out := addedToken{ID: id, Content: t.Content, SingleWord: t.SingleWord, LStrip: t.LStrip, RStrip: t.RStrip, Special: t.Special || named}
	out.Normalized = !out.Special
	if t.Normalized != nil {
		out.Normalized = *t.Normalized
	}
	return out
}

// lastOfEach sorts tokens by id and leaves the last that was given an id.
func lastOfEach(tokens []addedToken) []addedToken {
	slices.Reverse(tokens)
	slices.SortStableFunc(tokens, func(x, y addedToken) int { return cmp.Compare(x.ID, y.ID) })
	return slices.CompactFunc(tokens, func(x, y addedToken) bool { return x.ID == y.ID })
}

func holds(tokens []setToken, content string) bool {
	return slices.ContainsFunc(tokens, func(t setToken) bool { return t.Content == content })
}
