package wire

import (
	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

// EncodeRows returns the messages of each example's options; nil stays nil.
func EncodeRows(rows []adapters.GenerateOptions) []*pb.GenerateOptions {
	var out []*pb.GenerateOptions
	for _, o := range rows {
		out = append(out, EncodeOptions(o))
	}
	return out
}

// DecodeRows returns each example's options; nil if there are no messages.
func DecodeRows(rows []*pb.GenerateOptions) []adapters.GenerateOptions {
	var out []adapters.GenerateOptions
	for _, w := range rows {
		out = append(out, DecodeOptions(w))
	}
	return out
}

// EncodeGenerateResponse returns the message of a response.
func EncodeGenerateResponse(r *adapters.GenerateResponse) *pb.GenerateResponse {
	out := &pb.GenerateResponse{Texts: r.Texts, Tokens: r.Tokens, InputTokens: r.InputTokens}
	for _, f := range r.Finish {
		out.Finish = append(out.Finish, pb.FinishReason(f))
	}
	for _, tokens := range r.LogProbs {
		out.LogProbs = append(out.LogProbs, &pb.TokenLogProbs{Tokens: EncodeLogProbs(tokens)})
	}
	return out
}

// DecodeGenerateResponse returns the response of a message.
func DecodeGenerateResponse(w *pb.GenerateResponse) *adapters.GenerateResponse {
	out := &adapters.GenerateResponse{Texts: w.Texts, Tokens: w.Tokens, InputTokens: w.InputTokens}
	for _, f := range w.Finish {
		out.Finish = append(out.Finish, decodeFinish(f))
	}
	for _, t := range w.LogProbs {
		out.LogProbs = append(out.LogProbs, DecodeLogProbs(t.Tokens))
	}
	return out
}

// decodeFinish maps a reason that this version does not know to [adapters.FinishUnknown].
func decodeFinish(w pb.FinishReason) adapters.FinishReason {
	if w < 0 || w > pb.FinishReason(adapters.FinishCanceled) {
		return adapters.FinishUnknown
	}
	return adapters.FinishReason(w)
}

// EncodePiece returns the message of a piece.
func EncodePiece(p adapters.Piece) *pb.Piece {
	return &pb.Piece{Example: uint32(p.Example), Text: p.Text, LogProbs: EncodeLogProbs(p.LogProbs)}
}

// EncodeLogProbs returns the messages of tokens; nil stays nil.
func EncodeLogProbs(tokens []adapters.TokenLogProb) []*pb.TokenLogProb {
	var out []*pb.TokenLogProb
	for _, t := range tokens {
		out = append(out, &pb.TokenLogProb{Text: t.Text, Data: t.Bytes, LogProb: t.LogProb, Top: EncodeLogProbs(t.Top)})
	}
	return out
}

// DecodeLogProbs returns the tokens of messages; nil if there are none.
func DecodeLogProbs(tokens []*pb.TokenLogProb) []adapters.TokenLogProb {
	var out []adapters.TokenLogProb
	for _, w := range tokens {
		out = append(out, adapters.TokenLogProb{Text: w.Text, Bytes: w.Data, LogProb: w.LogProb, Top: DecodeLogProbs(w.Top)})
	}
	return out
}
