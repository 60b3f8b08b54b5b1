package data

import (
	"math/rand/v2"

	"github.com/modular-bridging/bridge/data/record"
)

// Turn is a part of a sequence after one of its alternatives was drawn.
type Turn struct {
	Picture int // number of the picture in its record, from 0; -1 for a text
	Text    string
	Role    record.Role
	Target  bool
}

// DrawTurns draws one text of each part of a sequence, by weight. It takes nothing from rng
// for a part with one text.
func DrawTurns(rng *rand.Rand, parts []record.Part) []Turn {
	turns := make([]Turn, 0, len(parts))
	pictures := 0
	for _, p := range parts {
		turn := Turn{Picture: -1, Role: p.Role, Target: p.Target}
		switch {
		case p.Picture != nil:
			turn.Picture = pictures
			pictures++
		case len(p.Texts) == 0:
			continue
		default:
			turn.Text = p.Texts[drawWeighted(rng, len(p.Texts), func(i int) float64 { return p.Texts[i].Weight })].Text
		}
		turns = append(turns, turn)
	}
	return turns
}

// DrawCaption draws one of a record's captions, which must not be empty.
func (r Record) DrawCaption(rng *rand.Rand) string {
	if r.Weights == nil {
		return r.Captions[rng.IntN(len(r.Captions))]
	}
	return r.Captions[drawWeighted(rng, len(r.Captions), func(i int) float64 { return r.Weights[i] })]
}

// drawWeighted returns a number below n with a probability in proportion to its weight, or
// uniformly if all weights are 0. It takes nothing from rng if n is 1.
func drawWeighted(rng *rand.Rand, n int, weight func(i int) float64) int {
	if n == 1 {
		return 0
	}
	sum := 0.0
	for i := range n {
		sum += max(0, weight(i))
	}
	if sum == 0 {
		return rng.IntN(n)
	}
	at := rng.Float64() * sum
	last := 0
	for i := range n {
		w := max(0, weight(i))
		if w == 0 {
			continue
		}
		if last = i; at < w {
			return i
		}
		at -= w
	}
	return last // rounding left a rest
}
