package survey

import (
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/record"
)

// Shown is a record as other programs read it: each text and each picture is a part.
type Shown struct {
	Key   string      `json:"key"`
	Parts []ShownPart `json:"parts"`

	Record record.Record `json:"-"`
	Row    int           `json:"-"` // of the source
}

// ShownPart is a text or a picture. All alternatives of a part follow each other.
type ShownPart struct {
	Text    *string  `json:"text,omitempty"` // nil for a picture
	Target  bool     `json:"target,omitempty"`
	Picture *Picture `json:"picture,omitempty"`
}

// Show yields the first n good records of a source in its order. It decodes their pictures,
// whose orientation reader says. A yielded error ends it; bad records are passed over.
func Show(r record.Reader, n int, pictures data.Reader) func(yield func(Shown, error) bool) {
	return func(yield func(Shown, error) bool) {
		for i := 0; i < r.Len() && n > 0; i++ {
			row, rec, err := read(r, i, pictures)
			if err != nil {
				yield(Shown{}, err)
				return
			}
			if row.Bad != nil {
				continue
			}
			n--
			if !yield(shown(i, row, rec), nil) {
				return
			}
		}
	}
}

func shown(i int, row Row, rec record.Record) Shown {
	out := Shown{Key: rec.Key, Parts: []ShownPart{}, Record: rec, Row: i}
	next := 0
	for _, p := range rec.Parts {
		if p.Picture != nil {
			out.Parts = append(out.Parts, ShownPart{Picture: &row.Pictures[next]})
			next++
			continue
		}
		for _, t := range p.Texts {
			out.Parts = append(out.Parts, ShownPart{Text: &t.Text, Target: p.Target})
		}
	}
	return out
}
