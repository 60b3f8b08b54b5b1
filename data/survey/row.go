package survey

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/record"
	"github.com/modular-bridging/bridge/imaging"
)

// Row holds the findings of a survey in a row of a source.
type Row struct {
	Key      string    `json:"key"`
	Bad      *Bad      `json:"bad,omitempty"` // nil for a good record; the fields below are of good ones
	Pictures []Picture `json:"pictures,omitempty"`
	Texts    []Text    `json:"texts,omitempty"`
	// TextBytes is the length of all texts.
	TextBytes int `json:"text_bytes,omitempty"`
}

// Bad is a record that cannot be used.
type Bad struct {
	Key    string     `json:"key"`
	Reason string     `json:"reason"`
	Why    record.Why `json:"why"`
	File   string     `json:"file,omitempty"`
	Row    int        `json:"row"`              // of the source, from 0
	Offset *int64     `json:"offset,omitempty"` // of the record in the file, in bytes
}

// Picture is a picture of a record, decoded.
type Picture struct {
	Width  int    `json:"width"`
	Height int    `json:"height"`
	SHA256 string `json:"sha256"` // of the pixels uint8[H, W, 3], RGB, in hexadecimal digits
}

// Text is a text of a record without its content.
type Text struct {
	Words  int    `json:"words"`
	Hash   uint64 `json:"hash"`
	Target bool   `json:"target,omitempty"`
}

// read reads a row of a source and decodes its pictures.
func read(r record.Reader, i int, pictures data.Reader) (Row, record.Record, error) {
	rec, err := r.Record(i)
	if err == nil && len(rec.Pictures()) == 0 && !hasText(rec) {
		err = rec.Bad(i, record.Empty, errors.New("the record has neither text nor picture"))
	}
	row := Row{Key: rec.Key}
	for _, p := range rec.Parts {
		if err != nil {
			break
		}
		if p.Picture == nil {
			row.addTexts(p)
			continue
		}
		var picture Picture
		if picture, err = describe(p.Picture, pictures); err != nil {
			err = rec.Bad(i, data.WhyPicture(err), err)
			break
		}
		row.Pictures = append(row.Pictures, picture)
	}
	var bad *record.BadRecord
	if errors.As(err, &bad) && !data.OfProcess(err) {
		return badRow(i, bad), rec, nil
	}
	return row, rec, err
}

// badRow returns row i, which is bad. A record that could not be read far enough to know its
// key is named by its number, as records without keys of their own are.
func badRow(i int, b *record.BadRecord) Row {
	bad := &Bad{Key: cmp.Or(b.Key, strconv.Itoa(i)), Reason: b.Err.Error(), Why: b.Why, File: b.File, Row: i}
	if bad.Why == "" {
		bad.Why = record.Damaged
	}
	if b.Offset >= 0 {
		bad.Offset = &b.Offset
	}
	return Row{Key: b.Key, Bad: bad}
}

func hasText(r record.Record) bool {
	for _, p := range r.Parts {
		for _, t := range p.Texts {
			if strings.TrimSpace(t.Text) != "" {
				return true
			}
		}
	}
	return false
}

// addTexts adds the alternatives of a part.
func (r *Row) addTexts(p record.Part) {
	for _, t := range p.Texts {
		r.Texts = append(r.Texts, Text{Words: len(strings.Fields(t.Text)), Hash: hashOf(t.Text), Target: p.Target})
		r.TextBytes += len(t.Text)
	}
}

// describe decodes a picture.
func describe(p *record.Picture, pictures data.Reader) (Picture, error) {
	img, err := pictures.Open(p)
	if err != nil {
		return Picture{}, err
	}
	return describeImage(img), nil
}

func describeImage(img *imaging.RGB) Picture {
	sum := sha256.Sum256(img.Pix)
	return Picture{Width: img.Width, Height: img.Height, SHA256: hex.EncodeToString(sum[:])}
}

// hashOf returns a hash of a text.
func hashOf(text string) uint64 {
	hash := fnv.New64a()
	hash.Write([]byte(text))
	return hash.Sum64()
}
