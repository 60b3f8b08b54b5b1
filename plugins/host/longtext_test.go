package host

import (
	"errors"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/plugintest"
)

// The refusal of one text of a batch names the example on this side of the process, too, so
// that a run can name the text and its picture.
func TestARefusedTextIsNamedAcrossTheProcess(t *testing.T) {
	t.Parallel()
	m := openLanguage(t, config(t, "normal", "language"))
	req := plugintest.LossRequest(false)
	req.Examples[1].Target = strings.Repeat("狗", 3000)
	_, err := m.Loss(t.Context(), req)
	var e *adapters.Error
	if !errors.As(err, &e) || e.Kind != adapters.Invalid || e.Field != "examples[1]" {
		t.Errorf("%v, want kind invalid in examples[1]", err)
	}
}
