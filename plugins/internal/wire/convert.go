package wire

import (
	"math"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

// This file converts the structs of package adapters to protobuf messages and back.
// transport.go sends the tensors that they name.

func encodeSpec(s adapters.Spec) *pb.ModelSpec {
	w := &pb.ModelSpec{
		Id: s.ID, Family: s.Family, Kind: string(s.Kind), Width: int64(s.Width), Dtype: uint32(s.DType),
		Parameters: s.Parameters, MemoryBytes: s.MemoryBytes, Digest: s.Digest, Backend: s.Backend, Source: s.Source,
	}
	for _, c := range s.Capabilities {
		w.Capabilities = append(w.Capabilities, string(c))
	}
	return w
}

func decodeSpec(w *pb.ModelSpec) adapters.Spec {
	s := adapters.Spec{
		ID: w.Id, Family: w.Family, Kind: adapters.ModelKind(w.Kind), Width: int(w.Width), DType: adapters.DType(w.Dtype),
		Parameters: w.Parameters, MemoryBytes: w.MemoryBytes, Digest: w.Digest, Backend: w.Backend, Source: w.Source,
	}
	for _, c := range w.Capabilities {
		s.Capabilities = append(s.Capabilities, adapters.Capability(c))
	}
	return s
}

// EncodeVisionSpec returns the message of a vision encoder's spec.
func EncodeVisionSpec(s adapters.VisionSpec) *pb.ModelSpec {
	w := encodeSpec(s.Spec)
	w.Vision = &pb.VisionPart{
		Tokens: int64(s.Tokens), ImageWidth: int64(s.Image.Width), ImageHeight: int64(s.Image.Height),
		Resample: s.Image.Resample, Mode: s.Image.Mode, Mean: s.Image.Mean[:], Std: s.Image.Std[:], Layer: int32(s.Layer),
		ShortestEdge: int64(s.Image.ShortestEdge), Patch: int64(s.Patch),
	}
	return w
}

// DecodeVisionSpec returns the vision encoder's spec of a message that has a vision part.
func DecodeVisionSpec(w *pb.ModelSpec) adapters.VisionSpec {
	v := w.Vision
	s := adapters.VisionSpec{Spec: decodeSpec(w), Tokens: int(v.Tokens), Patch: int(v.Patch), Layer: int(v.Layer)}
	s.Image = adapters.ImageSpec{Width: int(v.ImageWidth), Height: int(v.ImageHeight), Resample: v.Resample, Mode: v.Mode,
		ShortestEdge: int(v.ShortestEdge)}
	copy(s.Image.Mean[:], v.Mean)
	copy(s.Image.Std[:], v.Std)
	return s
}

// EncodeLanguageSpec returns the message of a language model's spec.
func EncodeLanguageSpec(s adapters.LanguageSpec) *pb.ModelSpec {
	w := encodeSpec(s.Spec)
	w.Language = &pb.LanguagePart{
		Architecture: string(s.Architecture), ContextTokens: int64(s.ContextTokens),
		Vocabulary: int64(s.Vocabulary), TokenNorm: s.TokenNorm, EndOfAnswer: s.EndOfAnswer,
	}
	return w
}

// DecodeLanguageSpec returns the language model's spec of a message that has a language
// part.
func DecodeLanguageSpec(w *pb.ModelSpec) adapters.LanguageSpec {
	l := w.Language
	return adapters.LanguageSpec{
		Spec: decodeSpec(w), Architecture: adapters.Architecture(l.Architecture), ContextTokens: int(l.ContextTokens),
		Vocabulary: int(l.Vocabulary), TokenNorm: l.TokenNorm, EndOfAnswer: l.EndOfAnswer,
	}
}

// EncodeLoadRequest returns the message of a load request, for one of a plugin's families.
func EncodeLoadRequest(family string, r *adapters.LoadRequest) *pb.LoadRequest {
	w := &pb.LoadRequest{Family: family, Id: r.ID, Checkpoint: r.Checkpoint, Backend: r.Backend, Dtype: uint32(r.DType),
		ImageWidth: int64(r.ImageSize.Width), ImageHeight: int64(r.ImageSize.Height), Activation: r.Activation}
	if r.FeatureLayer != nil {
		layer := int32(*r.FeatureLayer)
		w.FeatureLayer = &layer
	}
	return w
}

// DecodeLoadRequest returns the load request of a message, without a Progress function.
func DecodeLoadRequest(w *pb.LoadRequest) *adapters.LoadRequest {
	r := &adapters.LoadRequest{ID: w.Id, Checkpoint: w.Checkpoint, Backend: w.Backend, DType: adapters.DType(w.Dtype),
		ImageSize: adapters.Size{Width: int(w.ImageWidth), Height: int(w.ImageHeight)}, Activation: w.Activation}
	if w.FeatureLayer != nil {
		layer := int(*w.FeatureLayer)
		r.FeatureLayer = &layer
	}
	return r
}

// EncodeExamples returns the messages of a request's examples.
func EncodeExamples(examples []adapters.Example) []*pb.Example {
	out := make([]*pb.Example, len(examples))
	for i, e := range examples {
		w := &pb.Example{Target: e.Target, Segments: make([]*pb.Segment, len(e.Segments))}
		for j, s := range e.Segments {
			if s.IsPrompt {
				w.Segments[j] = &pb.Segment{Part: &pb.Segment_Prompt{Prompt: uint32(s.Prompt)}}
			} else {
				w.Segments[j] = &pb.Segment{Part: &pb.Segment_Text{Text: s.Text}}
			}
		}
		out[i] = w
	}
	return out
}

// DecodeExamples returns the examples of a request's messages.
func DecodeExamples(examples []*pb.Example) []adapters.Example {
	out := make([]adapters.Example, len(examples))
	for i, w := range examples {
		e := adapters.Example{Target: w.Target, Segments: make([]adapters.Segment, len(w.Segments))}
		for j, s := range w.Segments {
			if p, ok := s.Part.(*pb.Segment_Prompt); ok {
				e.Segments[j] = adapters.PromptSegment(int(p.Prompt))
			} else {
				e.Segments[j] = adapters.TextSegment(s.GetText())
			}
		}
		out[i] = e
	}
	return out
}

// EncodeOptions returns the message of options for generation.
func EncodeOptions(o adapters.GenerateOptions) *pb.GenerateOptions {
	return &pb.GenerateOptions{
		MaxNewTokens: int64(o.MaxNewTokens), MinNewTokens: int64(o.MinNewTokens), NumBeams: int64(o.NumBeams),
		LengthPenalty: o.LengthPenalty, EarlyStopping: pb.EarlyStopping(o.EarlyStopping), RepetitionPenalty: o.RepetitionPenalty,
		Sample: o.Sample, Temperature: o.Temperature, TopK: int64(o.TopK), TopP: o.TopP, Seed: o.Seed,
		Copy: int64(o.Copy), Stop: o.Stop, LogProbs: o.LogProbs, TopLogProbs: int64(o.TopLogProbs),
	}
}

// DecodeOptions returns the options of a message; nil means the zero options.
func DecodeOptions(w *pb.GenerateOptions) adapters.GenerateOptions {
	if w == nil {
		return adapters.GenerateOptions{}
	}
	return adapters.GenerateOptions{
		MaxNewTokens: int(w.MaxNewTokens), MinNewTokens: int(w.MinNewTokens), NumBeams: int(w.NumBeams),
		LengthPenalty: w.LengthPenalty, EarlyStopping: decodeEarlyStopping(w.EarlyStopping), RepetitionPenalty: w.RepetitionPenalty,
		Sample: w.Sample, Temperature: w.Temperature, TopK: int(w.TopK), TopP: w.TopP, Seed: w.Seed,
		Copy: int(w.Copy), Stop: w.Stop, LogProbs: w.LogProbs, TopLogProbs: int(w.TopLogProbs),
	}
}

// decodeEarlyStopping maps a value that this version does not know to one that is
// unknown, too, so that the model refuses it.
func decodeEarlyStopping(w pb.EarlyStopping) adapters.EarlyStopping {
	return adapters.EarlyStopping(min(max(int(w), 0), math.MaxUint8))
}

// EncodeCandidates returns the messages of a scoring request's candidates.
func EncodeCandidates(candidates [][]string) []*pb.Candidates {
	out := make([]*pb.Candidates, len(candidates))
	for i, c := range candidates {
		out[i] = &pb.Candidates{Texts: c}
	}
	return out
}

// DecodeCandidates returns the candidates of a scoring request's messages.
func DecodeCandidates(candidates []*pb.Candidates) [][]string {
	out := make([][]string, len(candidates))
	for i, c := range candidates {
		out[i] = c.Texts
	}
	return out
}

// CheckCounts returns an error unless counts holds one number of tokens for each text.
func CheckCounts(counts []int32, texts []string) error {
	if len(counts) != len(texts) {
		return adapters.Errorf(adapters.Invalid, "response has %d counts for %d texts, want one for each", len(counts), len(texts))
	}
	for i, n := range counts {
		if n < 0 {
			return adapters.Errorf(adapters.Invalid, "counts[%d] is %d, want a number of tokens", i, n)
		}
	}
	return nil
}
