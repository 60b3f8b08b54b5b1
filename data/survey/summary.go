package survey

import (
	"encoding/hex"
	"maps"
	"slices"

	"github.com/modular-bridging/bridge/data/record"
)

// Summary is the result of a survey.
type Summary struct {
	Format       string             `json:"format"`
	Rows         int                `json:"rows"`          // of the source, bad ones included
	Records      int                `json:"records"`       // good ones
	Pictures     int                `json:"pictures"`      // distinct ones, by their pixels
	PictureParts int                `json:"picture_parts"` // in records, repeated ones counted each time
	Texts        int                `json:"texts"`
	Targets      int                `json:"targets"` // texts to learn
	TextOnly     int                `json:"text_only"`
	Untitled     int                `json:"without_target"` // records with nothing to learn
	Words        Spread             `json:"words"`          // of targets
	ShortSide    Spread             `json:"short_side"`     // of pictures, in pixels
	LongSide     Spread             `json:"long_side"`
	Duplicates   Duplicates         `json:"duplicates"`
	BadByReason  map[record.Why]int `json:"bad_by_reason"`
	Bad          []*Bad             `json:"bad"`

	words, short, long histogram
	pictures           map[[8]byte]int // how often, by the first bytes of the digest
	texts, keys        map[uint64]int
	named              int // rows with a key
}

// Spread describes numbers. All fields are 0 if there are none.
type Spread struct {
	Min    int     `json:"min"`
	Median int     `json:"median"`
	P95    int     `json:"p95"` // 95 % are at most this
	Max    int     `json:"max"`
	Mean   float64 `json:"mean"`
}

// Duplicates count what occurs more than once: how many there are beyond the first of each.
type Duplicates struct {
	Pictures int `json:"pictures"` // with the same pixels
	Texts    int `json:"texts"`    // targets
	Keys     int `json:"keys"`
}

func newSummary(r record.Reader) *Summary {
	return &Summary{Format: r.Format(), Bad: []*Bad{}, BadByReason: map[record.Why]int{},
		words: histogram{}, short: histogram{}, long: histogram{},
		pictures: map[[8]byte]int{}, texts: map[uint64]int{}, keys: map[uint64]int{}}
}

// add adds the next row.
func (s *Summary) add(r Row) {
	s.Rows++
	if r.Key != "" {
		s.keys[hashOf(r.Key)]++
		s.named++
	}
	if r.Bad != nil {
		s.Bad = append(s.Bad, r.Bad)
		s.BadByReason[r.Bad.Why]++
		return
	}
	s.Records++
	if len(r.Pictures) == 0 {
		s.TextOnly++
	}
	for _, p := range r.Pictures {
		s.PictureParts++
		s.pictures[pictureKey(p)]++
		s.short[min(p.Width, p.Height)]++
		s.long[max(p.Width, p.Height)]++
	}
	targets := 0
	for _, t := range r.Texts {
		s.Texts++
		if t.Target {
			targets++
			s.words[t.Words]++
			s.texts[t.Hash]++
		}
	}
	s.Targets += targets
	if targets == 0 {
		s.Untitled++
	}
}

// pictureKey returns the first bytes of a picture's digest.
func pictureKey(p Picture) (key [8]byte) {
	_, _ = hex.Decode(key[:], []byte(p.SHA256[:2*len(key)])) // describe has written it
	return key
}

// finish computes what depends on all rows.
func (s *Summary) finish() *Summary {
	s.Pictures = len(s.pictures)
	s.Duplicates = Duplicates{s.PictureParts - s.Pictures, s.Targets - len(s.texts), s.named - len(s.keys)}
	s.Words, s.ShortSide, s.LongSide = s.words.spread(), s.short.spread(), s.long.spread()
	return s
}

// Overlap returns the number of distinct pictures that some surveyed sources have in common
// with others, by their pixels.
func Overlap(some, others []*Summary) int {
	common := map[[8]byte]bool{}
	for _, s := range some {
		for key := range s.pictures {
			if slices.ContainsFunc(others, func(o *Summary) bool { return o.pictures[key] > 0 }) {
				common[key] = true
			}
		}
	}
	return len(common)
}

// histogram counts numbers.
type histogram map[int]int

func (h histogram) spread() Spread {
	total, sum := 0, 0
	for v, n := range h {
		total, sum = total+n, sum+v*n
	}
	if total == 0 {
		return Spread{}
	}
	values := slices.Sorted(maps.Keys(h))
	at := func(rank int) int { // of the sorted numbers, from 0
		for _, v := range values {
			if rank -= h[v]; rank < 0 {
				return v
			}
		}
		return values[len(values)-1]
	}
	return Spread{values[0], at((total - 1) / 2), at((total*95+99)/100 - 1), values[len(values)-1], float64(sum) / float64(total)}
}
