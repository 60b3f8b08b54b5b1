package scene

import "math/rand/v2"

// Split selects the compositions that a Sampler draws.
type Split uint8

// The splits. No caption occurs in two of them.
const (
	Train        Split = iota // everything that is not held out, without Three scenes
	HeldOut                   // held-out compositions only, without Three scenes
	ThreeTrain                // Three scenes without a held-out pair
	ThreeHeldOut              // Three scenes with a held-out pair
)

// String returns the split's name.
func (s Split) String() string {
	return [...]string{"train", "held-out", "three-train", "three-held-out"}[s]
}

// The streams of PCG that this package draws from: one per purpose, so that equal seeds give
// unrelated numbers.
const (
	streamHoldOut uint64 = 0x686f6c646f7574 + iota
	streamTrain
	streamHeldOut
	streamRender
	streamThreeTrain
	streamThreeHeldOut
)

// holdOutSeed fixes which compositions are held out.
const holdOutSeed = 16

// pairID names an unordered pair of objects, the smaller one first.
type pairID struct{ low, high Object }

// comboID names a combination of object, colour and count.
type comboID struct {
	object Object
	color  Color
	count  int
}

// holdOut holds the compositions that only the HeldOut split draws, as lists for sampling and as
// sets for asking.
type holdOut struct {
	pairs    []pairID
	combos   [MaxCount + 1][]comboID // by count
	hasPair  map[pairID]bool
	hasCombo map[comboID]bool
}

// newHoldOut draws a tenth of the unordered pairs, and of each count a tenth of the combinations
// of object and colour.
func newHoldOut() *holdOut {
	rng := rand.New(rand.NewPCG(holdOutSeed, streamHoldOut))
	h := &holdOut{hasPair: map[pairID]bool{}, hasCombo: map[comboID]bool{}}
	var pairs []pairID
	for low := range Object(ObjectCount) {
		for high := low + 1; high < Object(ObjectCount); high++ {
			pairs = append(pairs, pairID{low, high})
		}
	}
	rng.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
	h.pairs = pairs[:len(pairs)/10]
	for _, p := range h.pairs {
		h.hasPair[p] = true
	}
	for count := 1; count <= MaxCount; count++ {
		var combos []comboID
		for object := range Object(ObjectCount) {
			for color := range Color(ColorCount) {
				combos = append(combos, comboID{object, color, count})
			}
		}
		rng.Shuffle(len(combos), func(i, j int) { combos[i], combos[j] = combos[j], combos[i] })
		h.combos[count] = combos[:len(combos)/10]
		for _, c := range h.combos[count] {
			h.hasCombo[c] = true
		}
	}
	return h
}

// holds reports whether the scene is held out.
func (h *holdOut) holds(s Scene) bool {
	switch s.Kind {
	case Pair:
		return h.holdsPair(s.A, s.B)
	case Three:
		return h.holdsPair(s.A, s.B) || h.holdsPair(s.A, s.C) || h.holdsPair(s.B, s.C)
	}
	return h.hasCombo[comboID{s.A, s.Color, max(s.Count, 1)}]
}

// holdsPair reports whether the unordered pair is held out.
func (h *holdOut) holdsPair(a, b Object) bool { return h.hasPair[pairID{min(a, b), max(a, b)}] }

// Sampler draws scenes of one split, endlessly. Train and HeldOut have 60 % pairs, 30 % counts and
// 10 % single objects; the other splits have Three scenes only.
type Sampler struct {
	split Split
	rng   *rand.Rand
	held  *holdOut
}

// NewSampler returns a Sampler whose sequence depends on the seed and the split alone.
func NewSampler(seed uint64, split Split) *Sampler {
	stream := [...]uint64{streamTrain, streamHeldOut, streamThreeTrain, streamThreeHeldOut}[split]
	return &Sampler{split: split, rng: rand.New(rand.NewPCG(seed, stream)), held: newHoldOut()}
}

// Rand returns the Sampler's generator, for seeds and questions that are to follow the same
// sequence. What is drawn from it moves the scenes that follow.
func (s *Sampler) Rand() *rand.Rand { return s.rng }

// Next returns the next scene.
func (s *Sampler) Next() Scene {
	if s.split == ThreeTrain || s.split == ThreeHeldOut {
		return s.three()
	}
	kind := One
	switch u := s.rng.IntN(10); {
	case u < 6:
		kind = Pair
	case u < 9:
		kind = Count
	}
	if s.split == HeldOut {
		return s.heldOut(kind)
	}
	for {
		if scene := s.any(kind); !s.held.holds(scene) {
			return scene
		}
	}
}

// any draws a scene of the kind from all compositions.
func (s *Sampler) any(kind Kind) Scene {
	scene := Scene{Kind: kind, Color: Color(s.rng.IntN(ColorCount)), A: Object(s.rng.IntN(ObjectCount))}
	switch kind {
	case One:
		scene.Large = s.rng.IntN(2) == 1
	case Pair:
		scene.B = Object(s.rng.IntN(ObjectCount - 1))
		if scene.B >= scene.A {
			scene.B++
		}
		scene.Relation = Relation(s.rng.IntN(2))
	case Count:
		scene.Count = 2 + s.rng.IntN(MaxCount-1)
	}
	return scene
}

// heldOut draws a scene of the kind from the held-out compositions.
func (s *Sampler) heldOut(kind Kind) Scene {
	if kind == Pair {
		p := s.held.pairs[s.rng.IntN(len(s.held.pairs))]
		scene := Scene{Kind: Pair, A: p.low, B: p.high, Color: Color(s.rng.IntN(ColorCount)), Relation: Relation(s.rng.IntN(2))}
		if s.rng.IntN(2) == 1 {
			scene.A, scene.B = scene.B, scene.A
		}
		return scene
	}
	count := 1
	if kind == Count {
		count = 2 + s.rng.IntN(MaxCount-1)
	}
	combos := s.held.combos[count]
	c := combos[s.rng.IntN(len(combos))]
	scene := Scene{Kind: kind, A: c.object, Color: c.color}
	if kind == One {
		scene.Large = s.rng.IntN(2) == 1
	} else {
		scene.Count = count
	}
	return scene
}

// three draws a Three scene with three different objects, with or without a held-out pair as the
// split wants it. Nine of ten pairs are not held out, so a held-out one is not waited for: it is
// drawn first, for two of the three places.
func (s *Sampler) three() Scene {
	for {
		scene := s.anyThree()
		if s.split == ThreeHeldOut {
			s.holdPair(&scene)
		}
		distinct := scene.A != scene.B && scene.A != scene.C && scene.B != scene.C
		if distinct && s.held.holds(scene) == (s.split == ThreeHeldOut) {
			return scene
		}
	}
}

// anyThree draws a Three scene of any three objects, equal ones included.
func (s *Sampler) anyThree() Scene {
	object := func() Object { return Object(s.rng.IntN(ObjectCount)) }
	return Scene{
		Kind: Three, Color: Color(s.rng.IntN(ColorCount)), Relation: Relation(s.rng.IntN(2)),
		A: object(), B: object(), C: object(),
	}
}

// holdPair puts a held-out pair into two of the scene's three places.
func (s *Sampler) holdPair(scene *Scene) {
	places := []*Object{&scene.A, &scene.B, &scene.C}
	s.rng.Shuffle(len(places), func(i, j int) { places[i], places[j] = places[j], places[i] })
	p := s.held.pairs[s.rng.IntN(len(s.held.pairs))]
	*places[0], *places[1] = p.low, p.high
}
