package benchmark

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/eval/tasks"
)

// Describe identifies an open model for plans and results. name is the user's name of it, and digest
// that of the bridge's weights ([bridge.Digest]).
func Describe(name, digest string, m *bridge.Model) Model {
	v := m.Vision.Spec()
	out := Model{Name: name, Bridge: digest, Stage: int(m.Stage()), Trained: m.Info.Steps > 0 || len(m.Info.TrainedOn) > 0,
		Vision: sideOf(v.Spec)}
	out.Vision.Picture = []int{v.Image.Height, v.Image.Width}
	language := ""
	if m.Language != nil {
		l := m.Language.Spec()
		side := sideOf(l.Spec)
		side.Architecture = string(l.Architecture)
		out.Language, language = &side, l.Digest
	}
	sum := sha256.Sum256(fmt.Appendln(nil, digest, v.Digest, language))
	out.Digest = "sha256:" + hex.EncodeToString(sum[:])
	out.Published = published(out)
	return out
}

func sideOf(s adapters.Spec) Side {
	return Side{ID: s.ID, Family: s.Family, Width: s.Width, Digest: s.Digest, DType: s.DType.String()}
}

// published returns the id of the published model that has a model's frozen models and size of pictures, or
// else of one that has its frozen models.
func published(m Model) string {
	found := ""
	for _, p := range tasks.PublishedModels() {
		family, width := "", 0
		if m.Language != nil {
			family, width = m.Language.Family, m.Language.Width
		}
		if p.VisionFamily != m.Vision.Family || p.VisionWidth != m.Vision.Width || p.LanguageFamily != family || p.LanguageWidth != width {
			continue
		}
		if p.PictureSize == m.Vision.Picture[1] {
			return p.ID
		}
		if found == "" {
			found = p.ID
		}
	}
	return found
}
