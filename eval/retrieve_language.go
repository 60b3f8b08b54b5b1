package eval

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/bridge"
	"github.com/modular-bridging/bridge/eval/metrics"
)

// MaxLanguagePairs is how many pairs of a picture and a caption [RetrieveByLanguage] ranks at most.
// The language model reads each of them: COCO's 5,000 pictures have 125 million.
const MaxLanguagePairs = 1_000_000

// RetrieveByLanguage finds the captions of pictures and the pictures of captions by the language
// model of a bridge that has no text side (stage 2). The score of a pair is by how much the picture
// adds to the log-probability of the caption behind a prompt ([bridge.RankByGain]), so that
// likely captions are not preferred. Between pictures of one caption this is the order of its
// log-probability. It is not BLIP-2's way, and its figures are not comparable with those of
// [Retrieve]. Of the options, Pieces and Progress count.
func RetrieveByLanguage(ctx context.Context, m *bridge.Model, g Gallery, prompt string, o RetrievalOptions) (*Retrieved, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	r := &retrieval{gallery: g, options: RetrievalOptions{Pieces: o.Pieces, Progress: o.Progress}}
	r.index()
	if pairs := g.Pictures * len(r.texts); pairs > MaxLanguagePairs {
		return nil, adapters.Errorf(adapters.Unsupported, "ranking %d captions for %d pictures by the language model takes %d passes, want at most %d",
			len(r.texts), g.Pictures, pairs, MaxLanguagePairs).WithRemedy("take fewer pictures, or a bridge of stage 1, which compares them without a language model")
	}
	byPicture, err := r.gains(ctx, m, prompt)
	if err != nil {
		return nil, err
	}
	var out Retrieved
	for picture, row := range byPicture {
		out.Text.add(row, r.own[picture], 0)
	}
	for caption, column := range metrics.Transposed(byPicture) {
		out.Image.add(column, r.ownPicture(caption), 0)
	}
	out.TextITC, out.ImageITC = out.Text, out.Image
	return &out, nil
}

// languageRows is the number of pictures of a piece.
const languageRows = 8

// gains returns by how much each picture adds to the log-probability of each caption.
func (r *retrieval) gains(ctx context.Context, m *bridge.Model, prompt string) ([][]float32, error) {
	var gains [][]float32
	r.total = parts(r.gallery.Pictures, languageRows)
	for lo := 0; lo < r.gallery.Pictures; lo += languageRows {
		hi := min(lo+languageRows, r.gallery.Pictures)
		data, err := r.piece(ctx, fmt.Sprintf("gains-%06d", lo), func(data []byte) bool { return len(data) == 4*(hi-lo)*len(r.texts) },
			func() ([]byte, error) { return r.gainsOf(ctx, m, prompt, lo, hi) })
		if err != nil {
			return nil, err
		}
		for i := range hi - lo {
			row := make([]float32, len(r.text))
			for caption, text := range r.text {
				row[caption] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*(i*len(r.texts)+text):]))
			}
			gains = append(gains, row)
		}
	}
	return gains, nil
}

// gainsOf returns the gains of some pictures and all texts, as bytes.
func (r *retrieval) gainsOf(ctx context.Context, m *bridge.Model, prompt string, lo, hi int) ([]byte, error) {
	features, err := r.gallery.Features(ctx, span(lo, hi))
	if err != nil {
		return nil, err
	}
	prompts, candidates := make([]string, hi-lo), make([][]string, hi-lo)
	for i := range prompts {
		prompts[i], candidates[i] = prompt, r.texts
	}
	ranked, err := m.RankFeatures(ctx, features, prompts, candidates, bridge.RankByGain)
	if err != nil {
		return nil, err
	}
	var data []byte
	for _, of := range ranked {
		for _, loss := range of.Scores {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(-loss)))
		}
	}
	return data, nil
}
