package tokenizer

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// sentencePiece holds the fields of a SentencePiece model file that are read: the message
// ModelProto of google/sentencepiece, src/sentencepiece_model.proto.
type sentencePiece struct {
	pieces    []piece
	algorithm int    // TrainerSpec.model_type
	suffix    bool   // TrainerSpec.treat_whitespace_as_suffix
	charsmap  []byte // NormalizerSpec.precompiled_charsmap, nil if there is none
}

// The values of TrainerSpec.model_type.
const (
	unigramModel = 1
	bpeModel     = 2
)

// piece is a token of the model; its id is its place.
type piece struct {
	text  string
	score float32
	kind  int // SentencePiece.type
}

// The values of SentencePiece.type that count here.
const (
	normalPiece  = 1
	controlPiece = 3
	userPiece    = 4
)

// ofTiktoken matches the start of the other kind of file that is named
// tokenizer.model: a line is a token in base64 and its rank.
var ofTiktoken = regexp.MustCompile(`^[A-Za-z0-9+/]+=* [0-9]+\r?\n`)

// parseSentencePiece reads a model file.
func parseSentencePiece(data []byte) (*sentencePiece, error) {
	if ofTiktoken.Match(data) {
		return nil, errors.New("a tiktoken vocabulary, want a SentencePiece model")
	}
	m := &sentencePiece{algorithm: unigramModel}
	err := eachField(data, func(f field) error {
		switch {
		case f.is(1, protowire.BytesType):
			p, err := parsePiece(f.bytes)
			m.pieces = append(m.pieces, p)
			return err
		case f.is(2, protowire.BytesType):
			return eachField(f.bytes, m.trainer)
		case f.is(3, protowire.BytesType):
			return eachField(f.bytes, m.normalizer)
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("not a SentencePiece model: %w", err)
	case len(m.pieces) == 0:
		return nil, errors.New("not a SentencePiece model: it has no pieces")
	}
	return m, nil
}

// trainer reads a field of TrainerSpec.
func (m *sentencePiece) trainer(f field) error {
	switch {
	case f.is(3, protowire.VarintType):
		m.algorithm = int(f.number)
	case f.is(24, protowire.VarintType):
		m.suffix = f.number != 0
	}
	return nil
}

// normalizer reads a field of NormalizerSpec.
func (m *sentencePiece) normalizer(f field) error {
	if f.is(2, protowire.BytesType) && len(f.bytes) > 0 {
		m.charsmap = f.bytes
	}
	return nil
}

// parsePiece reads a SentencePiece.
func parsePiece(data []byte) (piece, error) {
	p := piece{kind: normalPiece}
	err := eachField(data, func(f field) error {
		switch {
		case f.is(1, protowire.BytesType):
			p.text = string(f.bytes)
		case f.is(2, protowire.Fixed32Type):
			p.score = math.Float32frombits(uint32(f.number))
		case f.is(3, protowire.VarintType):
			p.kind = int(f.number)
		}
		return nil
	})
	switch {
	case err != nil:
		return p, err
	case !utf8.ValidString(p.text):
		return p, fmt.Errorf("the piece %q is not UTF-8", p.text)
	case math.IsNaN(float64(p.score)) || math.IsInf(float64(p.score), 0):
		return p, fmt.Errorf("the piece %q has the score %v", p.text, p.score)
	}
	return p, nil
}

// field is a field of a message, as protocol buffers write it.
type field struct {
	tag    protowire.Number
	wire   protowire.Type
	number uint64 // of the types varint, fixed32 and fixed64
	bytes  []byte // of the type bytes
}

func (f field) is(tag protowire.Number, wire protowire.Type) bool {
	return f.tag == tag && f.wire == wire
}

// eachField calls visit with the fields of a message in their order.
func eachField(message []byte, visit func(field) error) error {
	for len(message) > 0 {
		f, n := readField(message)
		if n < 0 {
			return protowire.ParseError(n)
		}
		message = message[n:]
		if err := visit(f); err != nil {
			return err
		}
	}
	return nil
}

// readField returns the first field of a message and its length in bytes, which is negative if
// the field is broken.
func readField(message []byte) (f field, length int) {
	var head, n int
	if f.tag, f.wire, head = protowire.ConsumeTag(message); head < 0 {
		return f, head
	}
	switch value := message[head:]; f.wire {
	case protowire.VarintType:
		f.number, n = protowire.ConsumeVarint(value)
	case protowire.Fixed32Type:
		var v uint32
		v, n = protowire.ConsumeFixed32(value)
		f.number = uint64(v)
	case protowire.BytesType:
		f.bytes, n = protowire.ConsumeBytes(value)
	default:
		n = protowire.ConsumeFieldValue(f.tag, f.wire, value)
	}
	if n < 0 {
		return f, n
	}
	return f, head + n
}
