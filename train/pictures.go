package train

import (
	"fmt"

	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/eval"
)

// PictureScore holds what an evaluation measured on one picture, for tests that pair the
// pictures of two runs.
type PictureScore struct {
	Picture string // its name in the data set
	// Exact reports whether the generated caption is the first true one, up to case and
	// white space. It is nil if none was generated.
	Exact *bool
	// Loss is that of the first true caption, or of the first answer if the data has no
	// captions. It is nil if it was not measured.
	Loss *eval.Loss
}

// newPictures returns the pictures of rows, without results.
func (x examination) newPictures(rows []int) []PictureScore {
	all := make([]PictureScore, len(rows))
	for i, row := range rows {
		all[i].Picture = idOf(x.set.Data, row)
	}
	return all
}

// SetResult holds the results of the last evaluation on one data set.
type SetResult struct {
	Data     string               `json:"data"` // see [Set.Describe]
	Scores   Scores               `json:"scores"`
	Answers  map[string]eval.Rate `json:"answers,omitempty"` // by kind of question
	Pictures []PictureScore       `json:"-"`                 // in the order of the data set
}

// Describe returns the name and the digest of the set. Pictures that were left out after the
// data was opened are counted, because others were measured in their place.
func (s Set) Describe() string {
	text := s.Data.Name() + " " + data.ContentDigest(s.Data)[:8]
	all := s.Data.Len()
	if n := all - len(s.Usable(span(0, all))); n > 0 {
		text += fmt.Sprintf(" without %d", n)
	}
	return text
}
