package data

import (
	"bytes"
	"image/png"
	"io"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/record"
	"github.com/modular-bridging/bridge/kit"
)

// kitRecords are the scenes of a split of the kit as a source.
type kitRecords struct{ *kitSet }

// OpenKitRecords returns the first n scenes of a split of the kit as a source; n = 0 returns
// all of them. A record is a picture, its caption, and its questions with their answers.
func OpenKitRecords(split kit.Split, n int) (record.Reader, error) {
	d, err := OpenKit(split, n, adapters.ImageSpec{})
	if err != nil {
		return nil, err
	}
	return kitRecords{d.(*kitSet)}, nil
}

func (k kitRecords) Format() string     { return "kit" }
func (k kitRecords) Warnings() []string { return nil }
func (k kitRecords) Close() error       { return nil }
func (k kitRecords) Digest() string     { return k.scenes.Digest() }

func (k kitRecords) Record(i int) (record.Record, error) {
	row, err := k.kitSet.Record(i)
	if err != nil {
		return record.Record{}, err
	}
	r := record.Record{Key: row.ID, File: k.Name(), Offset: -1, Parts: []record.Part{
		{Picture: &record.Picture{Name: row.ID, Open: func() (io.ReadCloser, error) {
			var file bytes.Buffer
			err := png.Encode(&file, k.Picture(i))
			return io.NopCloser(&file), err
		}}},
		record.Of(row.Captions[0], record.Plain, true),
	}}
	for _, q := range row.Questions {
		question := record.Of(q.Question, record.Question, false)
		question.Kind = q.Kind
		r.Parts = append(r.Parts, question, record.Of(q.Answer, record.Answer, true))
	}
	return r, nil
}
