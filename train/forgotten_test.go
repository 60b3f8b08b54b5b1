package train

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/data"
)

// called is a data set that has a name alone.
type called struct{ data.Dataset }

func (called) Name() string { return "photos" }

// A run that continues says that its list of what is left out is gone.
func TestListThatWasRemovedIsToldOf(t *testing.T) {
	saved := []data.LeftOut{{Picture: "#1"}, {Picture: "#2"}, {Picture: "#3"}}
	for forgotten, known := range map[string][]data.LeftOut{"number=3": nil, "number=1": saved[:2], "": saved} {
		var log bytes.Buffer
		list := &data.LeftOutList{}
		list.Expect(known)
		s := &Session{Train: Set{Data: called{}, LeftOut: list}, Log: slog.New(slog.NewTextHandler(&log, nil))}
		s.warnOfForgotten(saved)
		if got := log.String(); forgotten == "" && got != "" || !strings.Contains(got, forgotten) || got != "" && !strings.Contains(got, "left-out.json") {
			t.Errorf("of 3 pictures, the list knows %d: %q, want %q", len(known), got, forgotten)
		}
	}
}
