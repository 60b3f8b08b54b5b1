package host

import (
	"unicode/utf8"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// checkSpec returns an error for a spec that requests could not be checked against.
func checkSpec(w *pb.ModelSpec) error {
	if w.Width <= 0 || w.Dtype > uint32(adapters.BFloat16) {
		return wire.ProtocolErrorf("spec of %q has width %d and dtype %d", w.Id, w.Width, w.Dtype)
	}
	switch kind := adapters.ModelKind(w.Kind); kind {
	case adapters.KindVision:
		v := w.Vision
		if v == nil || v.Tokens <= 0 || v.ImageWidth <= 0 || v.ImageHeight <= 0 || len(v.Mean) != 3 || len(v.Std) != 3 {
			return wire.ProtocolErrorf("spec of %q: its vision part is missing or incomplete: %v", w.Id, v)
		}
	case adapters.KindLanguage:
		if w.Language == nil {
			return wire.ProtocolErrorf("spec of %q: its language part is missing", w.Id)
		}
	default:
		return wire.ProtocolErrorf("spec of %q has the kind %q, want %q or %q", w.Id, kind, adapters.KindVision, adapters.KindLanguage)
	}
	return nil
}

// checkTexts returns an error for texts that protobuf cannot carry. It is for requests
// without a check in package adapters.
func checkTexts(texts []string) error {
	for i, t := range texts {
		if !utf8.ValidString(t) {
			return adapters.Errorf(adapters.Invalid, "the text %q is not valid UTF-8", t).WithField("texts[%d]", i)
		}
	}
	return nil
}
