package tokenizer

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/modular-bridging/bridge/internal/jsonfile"
)

// scheme is the way in which a vocabulary spells text.
type scheme struct {
	byteLevel    bool            // GPT-2's: each byte of the text is a printable character
	space        string          // stands for a space, as "▁" does; "" if nothing does
	continuation string          // marks a token inside a word, as "##" does; "" if nothing does
	byteFallback bool            // "<0x0A>" stands for a byte
	verbatim     map[string]bool // added tokens: spelt as the text is
}

// component is a part of a tokenizer.json's pipeline, of any kind.
type component struct {
	Type          string      `json:"type"`
	Decoders      []component `json:"decoders"`
	Pretokenizers []component `json:"pretokenizers"`
	Replacement   string      `json:"replacement"` // of Metaspace
	Content       string      `json:"content"`     // of Replace
	Pattern       struct {
		String string
	} `json:"pattern"` // of Replace
}

// parseScheme finds in a tokenizer.json how its vocabulary spells text.
func parseScheme(text []byte) (scheme, error) {
	var file struct {
		AddedTokens []struct {
			Content string `json:"content"`
		} `json:"added_tokens"`
		PreTokenizer component `json:"pre_tokenizer"`
		Decoder      component `json:"decoder"`
		Model        struct {
			Type         string `json:"type"`
			ByteFallback bool   `json:"byte_fallback"`
			Continuation string `json:"continuing_subword_prefix"`
		} `json:"model"`
	}
	if err := jsonfile.Decode("tokenizer.json", text, &file); err != nil {
		return scheme{}, err
	}
	s := scheme{byteFallback: file.Model.ByteFallback, verbatim: map[string]bool{}}
	if file.Model.Type == "WordPiece" {
		s.continuation = file.Model.Continuation
	}
	for _, token := range file.AddedTokens {
		s.verbatim[token.Content] = true
	}
	s.read(file.PreTokenizer)
	s.read(file.Decoder)
	return s, nil
}

// read notes what c and the components inside it say about the spelling.
func (s *scheme) read(c component) {
	switch c.Type {
	case "ByteLevel":
		s.byteLevel = true
	case "Metaspace":
		s.space = c.Replacement
	case "Replace": // the decoder of Llama
		if c.Content == " " {
			s.space = c.Pattern.String
		}
	}
	for _, inner := range c.Decoders {
		s.read(inner)
	}
	for _, inner := range c.Pretokenizers {
		s.read(inner)
	}
}

// Surfaces returns, by id, the plain text of each token, with a leading space if the token
// starts a word: "Ġdog", "▁dog" and, in a WordPiece vocabulary, "dog" all give " dog". Special
// tokens, parts of characters, unprintable tokens and unused ids give "". Two vocabularies can
// be compared by it, token by token.
func (t *Tokenizer) Surfaces() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]string, len(t.tokens))
	for id, token := range t.tokens {
		out[id] = t.scheme.surface(token)
	}
	for _, id := range t.special {
		out[id] = ""
	}
	return out
}

// TokenBytes returns the bytes of text that a token stands for, which may be a part of a
// character: "Ġdog" and "▁dog" give " dog", "<0x0A>" gives a line feed. A special token and an
// unused id have none. Decoding a whole text may drop the space before its first word.
func (t *Tokenizer) TokenBytes(id int32) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if id < 0 || int(id) >= len(t.tokens) {
		return nil
	}
	if _, special := slices.BinarySearch(t.special, id); special {
		return nil
	}
	return []byte(t.scheme.spelled(t.tokens[id]))
}

// CertainPrefix returns the first of ids, whose text does not depend on ids that may follow.
// Tokens for single bytes ("<0x0A>") are text only together, so that a run of them at the end
// is left out. Special tokens do not end a run, because they have no text.
func (t *Tokenizer) CertainPrefix(ids []int32) []int32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(ids)
	for n > 0 && t.scheme.byteFallback && t.joins(ids[n-1]) {
		n--
	}
	return ids[:n]
}

// joins reports a token for a byte, or for no text at all; t.mu is held.
func (t *Tokenizer) joins(id int32) bool {
	if id < 0 || int(id) >= len(t.tokens) || t.tokens[id] == "" || isByteFallback(t.tokens[id]) {
		return true
	}
	_, special := slices.BinarySearch(t.special, id)
	return special
}

// surface returns the text of one token that is not special, "" if it is not plain text.
func (s *scheme) surface(token string) string {
	if !s.verbatim[token] && s.byteFallback && isByteFallback(token) {
		return ""
	}
	text := s.spelled(token)
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return ""
	}
	return text
}

// spelled returns the bytes that a token that is not special stands for.
func (s *scheme) spelled(token string) string {
	switch {
	case s.verbatim[token]:
		return token
	case s.byteFallback && isByteFallback(token):
		b, err := strconv.ParseUint(token[3:5], 16, 8)
		if err != nil {
			return token
		}
		return string([]byte{byte(b)})
	case s.byteLevel:
		return byteLevelText(token)
	case s.space != "":
		return strings.ReplaceAll(token, s.space, " ")
	case s.continuation != "" && token != "":
		if text, inside := strings.CutPrefix(token, s.continuation); inside {
			return text
		}
		return " " + token
	}
	return token
}

// isByteFallback reports whether a token is of the form "<0x0A>".
func isByteFallback(token string) bool {
	return len(token) == 6 && strings.HasPrefix(token, "<0x") && token[5] == '>'
}

// byteLevelText undoes GPT-2's spelling of bytes (bytes_to_unicode in its
// encoder.py): the printable characters of Latin-1 stand for themselves, the
// other bytes, in order, for the characters from U+0100 on. A token that is not
// spelt so gives "".
func byteLevelText(token string) string {
	var text []byte
	for _, r := range token {
		b, ok := byteOf(r)
		if !ok {
			return ""
		}
		text = append(text, b)
	}
	return string(text)
}

// byteOf returns the byte that a character stands for. The bytes that do not
// stand for themselves are, in order, 0x00–0x20, 0x7F–0xA0 and 0xAD.
func byteOf(r rune) (byte, bool) {
	switch n := r - 0x100; {
	case r >= '!' && r <= '~', r >= 0xA1 && r <= 0xFF && r != 0xAD:
		return byte(r), true
	case n >= 0 && n <= 0x20:
		return byte(n), true
	case n > 0x20 && n <= 0x42:
		return byte(n - 0x21 + 0x7F), true
	case n == 0x43:
		return 0xAD, true
	}
	return 0, false
}
