package conformance

import (
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
)

func TestGood(t *testing.T) {
	for _, kind := range []adapters.ModelKind{adapters.KindLanguage, adapters.KindVision} {
		t.Run(string(kind), func(t *testing.T) {
			o := options(t)
			o.Host = host(t)
			r, err := Run(t.Context(), target(t, "good", kind), o)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range r.Results {
				t.Log(c.Verdict, c.Name, c.Took, c.Messages)
				if c.Verdict == adaptertest.Fail {
					t.Errorf("%s: %v", c.Name, c.Messages)
				}
			}
		})
	}
}
