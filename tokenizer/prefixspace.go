package tokenizer

import "encoding/json"

// prefixSpace applies add_prefix_space, which transformers' classes read even beside a
// tokenizer.json: GPT2Tokenizer and Qwen2Tokenizer put it into the byte-level pre-tokenizer,
// LlamaTokenizer into its own. A folder of another class has no use for the key.
func (s *settings) prefixSpace(d *document, class string) error {
	var want *bool
	if _, err := s.decode("add_prefix_space", &want); err != nil || want == nil {
		return err
	}
	steps, got, err := d.spaceBeforeText()
	if err != nil {
		return err
	}
	byteLevel := steps != nil
	switch class {
	case "GPT2Tokenizer", "Qwen2Tokenizer":
		if !byteLevel {
			return s.refuse("add_prefix_space", "the pre-tokenizer of tokenizer.json is not byte-level")
		}
		if got == *want {
			return nil
		}
		return steps(*want)
	case "LlamaTokenizer":
		if !byteLevel && got != *want { // transformers reads a byte-level one as it is
			return s.refuse("add_prefix_space", "it contradicts tokenizer.json")
		}
	}
	return nil
}

// step is a pre-tokenizer or a normalizer of tokenizer.json, or a sequence of them.
type step struct {
	Type           string            `json:"type"`
	AddPrefixSpace *bool             `json:"add_prefix_space"`
	Scheme         string            `json:"prepend_scheme"`
	Normalizers    []json.RawMessage `json:"normalizers"`
	PreTokenizers  []json.RawMessage `json:"pretokenizers"`
}

// spaceBeforeText reports whether tokenizer.json puts a space before a text. If a byte-level
// pre-tokenizer decides that, set changes it.
func (d *document) spaceBeforeText() (set func(bool) error, before bool, err error) {
	for _, key := range []string{"normalizer", "pre_tokenizer"} {
		raw := d.keys[key]
		var outer step
		if len(raw) == 0 {
			continue
		}
		if err := json.Unmarshal(raw, &outer); err != nil {
			return nil, false, corrupt(d.path, key, err)
		}
		parts := append(outer.Normalizers, outer.PreTokenizers...)
		if len(parts) == 0 {
			parts = []json.RawMessage{raw}
		}
		for i, part := range parts {
			var inner step
			if err := json.Unmarshal(part, &inner); err != nil {
				return nil, false, corrupt(d.path, key, err)
			}
			switch {
			case inner.Type == "Prepend", inner.Type == "Metaspace" && inner.Scheme != "never":
				before = true
			case inner.Type == "ByteLevel" && key == "pre_tokenizer":
				return func(space bool) error { return d.setPrefixSpace(raw, parts, i, space) }, inner.AddPrefixSpace == nil || *inner.AddPrefixSpace, nil
			}
		}
	}
	return nil, before, nil
}

// setPrefixSpace changes the byte-level part of the pre-tokenizer.
func (d *document) setPrefixSpace(raw json.RawMessage, parts []json.RawMessage, at int, space bool) error {
	var part, whole map[string]any
	if err := json.Unmarshal(parts[at], &part); err != nil {
		return corrupt(d.path, "pre_tokenizer", err)
	}
	part["add_prefix_space"] = space
	if len(parts) == 1 && string(parts[0]) == string(raw) {
		return d.set("pre_tokenizer", part)
	}
	if err := json.Unmarshal(raw, &whole); err != nil {
		return corrupt(d.path, "pre_tokenizer", err)
	}
	list, _ := whole["pretokenizers"].([]any)
	list[at] = part
	return d.set("pre_tokenizer", whole)
}
