package wire

import (
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

// maxErrorText bounds each text of an error that crosses the boundary, in bytes.
const maxErrorText = 64 << 10

// EncodeFailure returns an adapter's error as a message for the host. op is the operation
// if the error names none.
func EncodeFailure(op string, err error) *pb.Failure {
	f := &pb.Failure{Kind: uint32(adapters.KindOf(err)), Op: op}
	if e, ok := err.(*adapters.Error); ok {
		bare := *e
		bare.Op, bare.Field, bare.Remedy = "", "", ""
		f.Message, f.Field, f.Remedy = bare.Error(), e.Field, e.Remedy
		if e.Op != "" {
			f.Op = e.Op
		}
	} else { // the text of a wrapped error holds op and field already
		f.Message, f.Remedy = adapters.WithoutRemedy(err).Error(), adapters.RemedyOf(err)
	}
	for _, text := range []*string{&f.Message, &f.Field, &f.Remedy, &f.Op} {
		*text = ErrorText(*text)
	}
	return f
}

// ErrorText returns s as valid UTF-8, cut at 64 KiB.
func ErrorText(s string) string {
	if len(s) > maxErrorText {
		s = s[:maxErrorText] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
