package survey

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"

	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/record"
	"github.com/modular-bridging/bridge/imaging"
	"github.com/modular-bridging/bridge/internal/atomicfile"
	"github.com/modular-bridging/bridge/internal/printable"
)

//go:embed page.html
var pageText string

// Page is an HTML page about surveyed sources, with a contact sheet of each.
type Page struct {
	Title   string
	Overlap *int // distinct pictures in training and evaluation data; nil if there is no evaluation data
	Parts   []PagePart
}

// PagePart is a source on a page.
type PagePart struct {
	Name    string
	Summary *Summary
	Tokens  *Tokens
	Cards   []Card
}

// Card is a record on a contact sheet.
type Card struct {
	Key      string
	Pictures []template.URL // data URLs
	Lines    []CardLine
}

// CardLine is a text of a record.
type CardLine struct {
	Text   string
	Target bool
}

// The number of records on a contact sheet, the longer side of their pictures in pixels, and the
// most bytes of a text.
const (
	cards     = 48
	cardSide  = 160
	cardBytes = 200
)

// Add adds a source. Its contact sheet has records that are spread over its order.
func (p *Page) Add(name string, s *Summary, t *Tokens, r record.Reader, pictures data.Reader) {
	part := PagePart{Name: name, Summary: s, Tokens: t}
	n := min(cards, r.Len())
	for i := range n {
		if card, ok := cardOf(r, i*r.Len()/n, pictures); ok {
			part.Cards = append(part.Cards, card)
		}
	}
	p.Parts = append(p.Parts, part)
}

// cardOf returns the card of a row, if its record is good.
func cardOf(r record.Reader, row int, pictures data.Reader) (card Card, ok bool) {
	rec, err := r.Record(row)
	if err != nil {
		return card, false
	}
	card.Key = rec.Key
	for _, part := range rec.Parts {
		if part.Picture == nil {
			for _, t := range part.Texts {
				card.Lines = append(card.Lines, CardLine{printable.Clip(t.Text, cardBytes), part.Target})
			}
			continue
		}
		img, err := pictures.Open(part.Picture)
		if err != nil {
			return card, false
		}
		file, err := imaging.Thumbnail(img, cardSide)
		if err != nil {
			return card, false
		}
		card.Pictures = append(card.Pictures, template.URL("data:image/jpeg;base64,"+base64.StdEncoding.EncodeToString(file)))
	}
	return card, true
}

// Shown returns the bad records that the page lists.
func (p PagePart) Shown() []*Bad {
	const most = 200
	return p.Summary.Bad[:min(most, len(p.Summary.Bad))]
}

// WriteFile writes the page to a file.
func (p *Page) WriteFile(path string) error {
	t, err := template.New("page").Funcs(template.FuncMap{"percent": func(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) }}).Parse(pageText)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := t.Execute(&out, p); err != nil {
		return err
	}
	return atomicfile.WriteBytes(path, out.Bytes())
}
