package plugins

import (
	"math"
	"unicode/utf8"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

// This file turns the structs of package adapters into protobuf messages and
// back; transport.go moves the tensors that they name.

func specToWire(s adapters.Spec) *pb.ModelSpec {
	w := &pb.ModelSpec{
		Id: s.ID, Family: s.Family, Kind: string(s.Kind), Width: int64(s.Width), Dtype: uint32(s.DType),
		Parameters: s.Parameters, MemoryBytes: s.MemoryBytes, Digest: s.Digest, Backend: s.Backend, Source: s.Source,
	}
	for _, c := range s.Capabilities {
		w.Capabilities = append(w.Capabilities, string(c))
	}
	return w
}

func specFromWire(w *pb.ModelSpec) adapters.Spec {
	s := adapters.Spec{
		ID: w.Id, Family: w.Family, Kind: adapters.ModelKind(w.Kind), Width: int(w.Width), DType: adapters.DType(w.Dtype),
		Parameters: w.Parameters, MemoryBytes: w.MemoryBytes, Digest: w.Digest, Backend: w.Backend, Source: w.Source,
	}
	for _, c := range w.Capabilities {
		s.Capabilities = append(s.Capabilities, adapters.Capability(c))
	}
	return s
}

func visionSpecToWire(s adapters.VisionSpec) *pb.ModelSpec {
	w := specToWire(s.Spec)
	w.Vision = &pb.VisionPart{
		Tokens: int64(s.Tokens), ImageWidth: int64(s.Image.Width), ImageHeight: int64(s.Image.Height),
		Resample: s.Image.Resample, Mode: s.Image.Mode, Mean: s.Image.Mean[:], Std: s.Image.Std[:], Layer: int32(s.Layer),
		ShortestEdge: int64(s.Image.ShortestEdge), Patch: int64(s.Patch),
	}
	return w
}

func visionSpecFromWire(w *pb.ModelSpec) adapters.VisionSpec {
	v := w.Vision
	s := adapters.VisionSpec{Spec: specFromWire(w), Tokens: int(v.Tokens), Patch: int(v.Patch), Layer: int(v.Layer)}
	s.Image = adapters.ImageSpec{Width: int(v.ImageWidth), Height: int(v.ImageHeight), Resample: v.Resample, Mode: v.Mode,
		ShortestEdge: int(v.ShortestEdge)}
	copy(s.Image.Mean[:], v.Mean)
	copy(s.Image.Std[:], v.Std)
	return s
}

func languageSpecToWire(s adapters.LanguageSpec) *pb.ModelSpec {
	w := specToWire(s.Spec)
	w.Language = &pb.LanguagePart{
		Architecture: string(s.Architecture), ContextTokens: int64(s.ContextTokens),
		Vocabulary: int64(s.Vocabulary), TokenNorm: s.TokenNorm, EndOfAnswer: s.EndOfAnswer,
	}
	return w
}

func languageSpecFromWire(w *pb.ModelSpec) adapters.LanguageSpec {
	l := w.Language
	return adapters.LanguageSpec{
		Spec: specFromWire(w), Architecture: adapters.Architecture(l.Architecture), ContextTokens: int(l.ContextTokens),
		Vocabulary: int(l.Vocabulary), TokenNorm: l.TokenNorm, EndOfAnswer: l.EndOfAnswer,
	}
}

// checkSpec refuses a spec that no request could be checked against.
func checkSpec(w *pb.ModelSpec) error {
	if w.Width <= 0 || w.Dtype > uint32(adapters.BFloat16) {
		return protocolErrorf("spec of %q has width %d and dtype %d", w.Id, w.Width, w.Dtype)
	}
	switch kind := adapters.ModelKind(w.Kind); kind {
	case adapters.KindVision:
		v := w.Vision
		if v == nil || v.Tokens <= 0 || v.ImageWidth <= 0 || v.ImageHeight <= 0 || len(v.Mean) != 3 || len(v.Std) != 3 {
			return protocolErrorf("spec of %q: its vision part is missing or incomplete: %v", w.Id, v)
		}
	case adapters.KindLanguage:
		if w.Language == nil {
			return protocolErrorf("spec of %q: its language part is missing", w.Id)
		}
	default:
		return protocolErrorf("spec of %q has the kind %q, want %q or %q", w.Id, kind, adapters.KindVision, adapters.KindLanguage)
	}
	return nil
}

func loadToWire(family string, r *adapters.LoadRequest) *pb.LoadRequest {
	w := &pb.LoadRequest{Family: family, Id: r.ID, Checkpoint: r.Checkpoint, Backend: r.Backend, Dtype: uint32(r.DType),
		ImageWidth: int64(r.ImageSize.Width), ImageHeight: int64(r.ImageSize.Height), Activation: r.Activation}
	if r.FeatureLayer != nil {
		layer := int32(*r.FeatureLayer)
		w.FeatureLayer = &layer
	}
	return w
}

func loadFromWire(w *pb.LoadRequest) *adapters.LoadRequest {
	r := &adapters.LoadRequest{ID: w.Id, Checkpoint: w.Checkpoint, Backend: w.Backend, DType: adapters.DType(w.Dtype),
		ImageSize: adapters.Size{Width: int(w.ImageWidth), Height: int(w.ImageHeight)}, Activation: w.Activation}
	if w.FeatureLayer != nil {
		layer := int(*w.FeatureLayer)
		r.FeatureLayer = &layer
	}
	return r
}

func examplesToWire(examples []adapters.Example) []*pb.Example {
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

func examplesFromWire(examples []*pb.Example) []adapters.Example {
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

func optionsToWire(o adapters.GenerateOptions) *pb.GenerateOptions {
	return &pb.GenerateOptions{
		MaxNewTokens: int64(o.MaxNewTokens), MinNewTokens: int64(o.MinNewTokens), NumBeams: int64(o.NumBeams),
		LengthPenalty: o.LengthPenalty, EarlyStopping: pb.EarlyStopping(o.EarlyStopping), RepetitionPenalty: o.RepetitionPenalty,
		Sample: o.Sample, Temperature: o.Temperature, TopK: int64(o.TopK), TopP: o.TopP, Seed: o.Seed,
	}
}

func optionsFromWire(w *pb.GenerateOptions) adapters.GenerateOptions {
	if w == nil {
		return adapters.GenerateOptions{}
	}
	return adapters.GenerateOptions{
		MaxNewTokens: int(w.MaxNewTokens), MinNewTokens: int(w.MinNewTokens), NumBeams: int(w.NumBeams),
		LengthPenalty: w.LengthPenalty, EarlyStopping: earlyStoppingFromWire(w.EarlyStopping), RepetitionPenalty: w.RepetitionPenalty,
		Sample: w.Sample, Temperature: w.Temperature, TopK: int(w.TopK), TopP: w.TopP, Seed: w.Seed,
	}
}

// earlyStoppingFromWire keeps a value that this version does not know unknown,
// so that the model refuses it.
func earlyStoppingFromWire(w pb.EarlyStopping) adapters.EarlyStopping {
	return adapters.EarlyStopping(min(max(int(w), 0), math.MaxUint8))
}

func candidatesToWire(candidates [][]string) []*pb.Candidates {
	out := make([]*pb.Candidates, len(candidates))
	for i, c := range candidates {
		out[i] = &pb.Candidates{Texts: c}
	}
	return out
}

func candidatesFromWire(candidates []*pb.Candidates) [][]string {
	out := make([][]string, len(candidates))
	for i, c := range candidates {
		out[i] = c.Texts
	}
	return out
}

// checkTexts refuses what protobuf's strings cannot carry, where the contract has
// no check of its own.
func checkTexts(texts []string) error {
	for i, t := range texts {
		if !utf8.ValidString(t) {
			return adapters.Errorf(adapters.Invalid, "the text %q is not valid UTF-8", t).WithField("texts[%d]", i)
		}
	}
	return nil
}
