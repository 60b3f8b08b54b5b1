package kit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/modular-bridging/bridge/kit/scene"
)

// Split names a part of the kit's data set.
type Split string

// The splits, and how many examples each has.
const (
	Train   Split = "train"    // 16,000 scenes: what bridges are trained on
	HeldOut Split = "held-out" // 600 scenes whose compositions nothing was trained on
	Fresh   Split = "fresh"    // 400 new pictures of the compositions of Train

	Choose Split = "choose" // 1,000 scenes of held-out compositions, to choose settings by
	Report Split = "report" // 1,000 others, to report figures of; see [Open]
	Style  Split = "style"  // the scenes of Report in a drawing style that nothing was trained on

	ThreeTrain Split = "three-train" // 16,000 scenes of three different objects, no pair of them held out
	Three      Split = "three"       // 1,000 scenes of three different objects, at least one pair held out
)

// Splits returns every split.
func Splits() []Split {
	return []Split{Train, HeldOut, Fresh, Choose, Report, Style, ThreeTrain, Three}
}

// plan configures the drawing of a split.
type plan struct {
	seed   uint64
	from   scene.Split
	size   int
	apart  []Split // no pair scene of these is drawn
	fluent bool    // drawn in Fluent instead of the styles of training
}

// plans configures the drawing of each split. About 60 % of the scenes are pairs, 30 % counts and 10 %
// single objects; the Three splits have no others. The seeds are part of the contract: figures are
// comparable as long as they stay.
var plans = map[Split]plan{
	Train:      {seed: 101, from: scene.Train, size: 16_000},
	HeldOut:    {seed: 102, from: scene.HeldOut, size: 600},
	Fresh:      {seed: 103, from: scene.Train, size: 400},
	Choose:     {seed: 104, from: scene.HeldOut, size: 1000, apart: []Split{HeldOut}},
	Report:     {seed: 105, from: scene.HeldOut, size: 1000, apart: []Split{HeldOut, Choose}},
	Style:      {seed: 105, from: scene.HeldOut, size: 1000, apart: []Split{HeldOut, Choose}, fluent: true},
	ThreeTrain: {seed: 106, from: scene.ThreeTrain, size: 16_000},
	Three:      {seed: 107, from: scene.ThreeHeldOut, size: 1000},
}

// Len returns the number of a split's examples, without drawing them. It is 0 if there is no
// such split.
func (s Split) Len() int { return plans[s].size }

// Example describes one picture.
type Example struct {
	ID        string // unique over all splits
	ImageID   int32  // equal for the examples of a split that show the same scene
	Scene     scene.Scene
	Style     scene.Style
	Caption   string
	Questions []scene.QA // one of every kind that applies
}

// Data is one split of the data set. It may be used by several goroutines at once.
type Data struct {
	split    Split
	plan     []drawn
	digest   func() string
	renderer *scene.Renderer
}

// drawn is an example before it is rendered.
type drawn struct {
	scene   scene.Scene
	imageID int32
	style   scene.Style
	seed    uint64
}

// streamQuestions is the PCG stream of an example's questions.
const streamQuestions = 0x71756573

// Open draws a split. Pictures are rendered when they are asked for.
//
// HeldOut, Choose and Report have no pair scene in common. They share scenes of one object and of
// several of a kind, because only 155 captions of these are held out, but no picture.
func Open(split Split) (*Data, error) {
	if _, ok := plans[split]; !ok {
		return nil, fmt.Errorf("kit: split: got %q, want one of %q", split, Splits())
	}
	d := *describe(split)
	var err error
	if d.renderer, err = renderer(); err != nil {
		return nil, fmt.Errorf("kit: %w", err)
	}
	return &d, nil
}

// renderer returns the renderer of all splits, which keeps sprites in the sizes that were asked for.
var renderer = sync.OnceValues(scene.NewRenderer)

// described holds, for each split that was asked for, a function that returns it without a
// renderer. A process draws a split once: a run opens its data several times.
var described sync.Map

// describe draws a split without a renderer. Its pictures cannot be rendered.
func describe(split Split) *Data {
	once, _ := described.LoadOrStore(split, sync.OnceValue(func() *Data {
		d := &Data{split: split, plan: draw(plans[split])}
		d.digest = sync.OnceValue(d.sum)
		return d
	}))
	return once.(func() *Data)()
}

// draw draws the examples of a plan.
func draw(p plan) []drawn {
	taken := p.taken()
	sampler := scene.NewSampler(p.seed, p.from)
	known := map[scene.Scene]int32{}
	examples := make([]drawn, p.size)
	for i := range examples {
		s, rng := sampler.Next(), sampler.Rand()
		for taken[s] {
			s = sampler.Next()
		}
		if _, ok := known[s]; !ok {
			known[s] = int32(len(known))
		}
		examples[i] = drawn{s, known[s], scene.Style(rng.IntN(scene.StyleCount)), rng.Uint64()}
		if p.fluent {
			examples[i].style = scene.Fluent
		}
	}
	return examples
}

// taken returns the pair scenes that the plan must not draw.
func (p plan) taken() map[scene.Scene]bool {
	taken := map[scene.Scene]bool{}
	for _, other := range p.apart {
		for _, example := range draw(plans[other]) {
			if example.scene.Kind == scene.Pair {
				taken[example.scene] = true
			}
		}
	}
	return taken
}

// Len returns the number of examples.
func (d *Data) Len() int { return len(d.plan) }

// Digest identifies the split's pictures and their order.
func (d *Data) Digest() string { return d.digest() }

// sum computes the digest.
func (d *Data) sum() string {
	sum := sha256.New()
	fmt.Fprintln(sum, d.split, scene.ArtworkDigest())
	if plans[d.split].fluent {
		fmt.Fprintln(sum, scene.Fluent, scene.Fluent.ArtworkDigest())
	}
	for _, p := range d.plan {
		fmt.Fprintln(sum, p.scene.Caption(), p.style, p.seed)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// Example returns what is known of picture i, 0 ≤ i < Len, without rendering it.
func (d *Data) Example(i int) Example {
	p := d.plan[i]
	return Example{
		ID:        fmt.Sprintf("%s-%06d", d.split, i),
		ImageID:   p.imageID,
		Scene:     p.scene,
		Style:     p.style,
		Caption:   p.scene.Caption(),
		Questions: p.scene.Questions(rand.New(rand.NewPCG(p.seed, streamQuestions))),
	}
}

// Picture renders picture i, 0 ≤ i < Len.
func (d *Data) Picture(i int) scene.Picture {
	p := d.plan[i]
	return d.renderer.Render(p.scene, p.style, p.seed)
}

// Image returns picture i as uint8[64, 64, 3], sRGB.
func (d *Data) Image(i int) []uint8 { return d.Picture(i).Pix }
