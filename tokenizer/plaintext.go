package tokenizer

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/jsonfile"
)

// imageToken is the placeholder of BLIP-2's processors for soft prompts. It is special even
// if a folder lists it as an ordinary token.
const imageToken = "<image>"

// EncodeTexts tokenizes texts that people wrote, without the template's tokens. It differs
// from [Tokenizer.EncodeBatch] in one thing: the name of a special token ("</s>",
// "<|endoftext|>", "<image>") is text like any other, and never becomes that token. The
// token for unknown characters still stands for characters that the vocabulary lacks. A
// special token whose name is one character, or that the vocabulary's merges make ("!" for
// padding), remains what the vocabulary makes of these characters.
func (t *Tokenizer) EncodeTexts(texts []string) ([]Encoding, error) {
	all, err := t.EncodeBatch(texts, false)
	if err != nil {
		return nil, err
	}
	var again []string
	var rows []int
	special := t.SpecialIDs()
	if id, ok := t.IDOf(imageToken); ok {
		special = append(special, id)
	}
	for i, e := range all {
		if slices.ContainsFunc(e.IDs, func(id int32) bool { return slices.Contains(special, id) }) {
			again, rows = append(again, texts[i]), append(rows, i)
		}
	}
	if len(again) == 0 {
		return all, nil
	}
	plain, err := t.withoutNames()
	if err != nil {
		return nil, err
	}
	encoded, err := plain.EncodeBatch(again, false)
	if err != nil {
		return nil, err
	}
	for i, row := range rows {
		all[row] = encoded[i]
	}
	return all, nil
}

// Counts returns the number of tokens of each encoding.
func Counts(encodings []Encoding) []int32 {
	counts := make([]int32, len(encodings))
	for i, e := range encodings {
		counts[i] = int32(len(e.IDs))
	}
	return counts
}

// withoutNames returns a tokenizer with t's ids in which no text contains the name of a
// special token. t owns it. It is made when a text needs it for the first time, because
// few texts do.
func (t *Tokenizer) withoutNames() (*Tokenizer, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, adapters.Errorf(adapters.Invalid, "tokenizer is closed")
	}
	if t.plain != nil {
		return t.plain, nil
	}
	text, names, err := hideNames(t.json, t.added)
	if err != nil {
		return nil, err
	}
	plain, err := New(context.Background(), text)
	if err != nil {
		return nil, fmt.Errorf("tokenizer without special tokens: %w", err)
	}
	var added []string
	for _, name := range t.added {
		added = append(added, names.of(name))
	}
	err = plain.AddTokens(added)
	for name, hidden := range names {
		if got, ok := plain.IDOf(hidden); err == nil && (!ok || got != t.ids[name]) {
			err = adapters.Errorf(adapters.Internal, "tokenizer without special tokens: %q has id %d, want %d", name, got, t.ids[name])
		}
	}
	if err != nil {
		plain.Close()
		return nil, err
	}
	t.plain = plain
	return plain, nil
}

// hiddenNames maps the names of special tokens to names that no text contains.
type hiddenNames map[string]string

// of returns the hidden name of a token, or the name itself if it is not hidden.
func (h hiddenNames) of(name string) string {
	if hidden, ok := h[name]; ok {
		return hidden
	}
	return name
}

// hideNames returns a tokenizer.json with other names for its special tokens and for those
// that were added later. Nothing else differs, so that all ids stay. The names are random
// letters: lower case, so that no normalizer changes them, and different in each process,
// so that no text can be written to contain them.
func hideNames(text []byte, added []string) ([]byte, hiddenNames, error) {
	var file, model map[string]json.RawMessage
	if err := jsonfile.Decode("tokenizer.json", text, &file); err != nil {
		return nil, nil, err
	}
	if err := jsonfile.DecodePart("tokenizer.json", "model", file["model"], &model); err != nil {
		return nil, nil, err
	}
	var tokens []map[string]any
	if raw := file["added_tokens"]; raw != nil {
		if err := jsonfile.DecodePart("tokenizer.json", "added_tokens", raw, &tokens); err != nil {
			return nil, nil, err
		}
	}
	made, err := merged(model["merges"])
	if err != nil {
		return nil, nil, err
	}
	names, base := hiddenNames{}, strings.ToLower(rand.Text())
	hide := func(name string) {
		if _, there := names[name]; !there && utf8.RuneCountInString(name) > 1 && !made[name] {
			names[name] = fmt.Sprintf("hidden%sx%dx", base, len(names))
		}
	}
	for _, token := range tokens {
		name, _ := token["content"].(string)
		if special, _ := token["special"].(bool); special || name == imageToken {
			hide(name)
		}
	}
	for _, name := range added {
		hide(name)
	}
	for _, token := range tokens {
		if name, ok := token["content"].(string); ok {
			token["content"] = names.of(name)
		}
	}
	if tokens != nil {
		if file["added_tokens"], err = json.Marshal(tokens); err != nil {
			return nil, nil, err
		}
	}
	if err := names.hideInModel(model); err != nil {
		return nil, nil, err
	}
	if file["model"], err = json.Marshal(model); err != nil {
		return nil, nil, err
	}
	text, err = json.Marshal(file)
	return text, names, err
}

// hideInModel renames tokens in a model's vocabulary: [piece, score] pairs in a Unigram
// model, ids by token in the others.
func (h hiddenNames) hideInModel(model map[string]json.RawMessage) (err error) {
	var unknown string
	if json.Unmarshal(model["unk_token"], &unknown) == nil && unknown != "" {
		if model["unk_token"], err = json.Marshal(h.of(unknown)); err != nil {
			return err
		}
	}
	var pieces [][]json.RawMessage
	if json.Unmarshal(model["vocab"], &pieces) == nil {
		for _, piece := range pieces {
			var name string
			if len(piece) == 0 || json.Unmarshal(piece[0], &name) != nil {
				continue
			}
			if hidden, ok := h[name]; ok {
				piece[0] = json.RawMessage(strconv.Quote(hidden))
			}
		}
		model["vocab"], err = json.Marshal(pieces)
		return err
	}
	var ids map[string]json.RawMessage
	if err := jsonfile.DecodePart("tokenizer.json", "model.vocab", model["vocab"], &ids); err != nil {
		return err
	}
	for name, hidden := range h {
		if id, ok := ids[name]; ok {
			delete(ids, name)
			ids[hidden] = id
		}
	}
	model["vocab"], err = json.Marshal(ids)
	return err
}

// merged returns the tokens that a BPE model's merges make. A merge is "a b" or ["a", "b"].
func merged(raw json.RawMessage) (map[string]bool, error) {
	made := map[string]bool{}
	if len(raw) == 0 {
		return made, nil
	}
	var lines []string
	if json.Unmarshal(raw, &lines) == nil {
		for _, line := range lines {
			made[strings.Replace(line, " ", "", 1)] = true
		}
		return made, nil
	}
	var pairs [][]string
	if err := jsonfile.DecodePart("tokenizer.json", "model.merges", raw, &pairs); err != nil {
		return nil, err
	}
	for _, pair := range pairs {
		made[strings.Join(pair, "")] = true
	}
	return made, nil
}
