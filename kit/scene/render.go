package scene

import (
	"fmt"
	"image"
	"math/rand/v2"
	"sync"

	"golang.org/x/image/draw"
)

// Side is the width and height of a picture in pixels.
const Side = 64

// Style is a drawing style.
type Style uint8

// The drawing styles.
const (
	Noto    Style = iota // Noto Emoji, Apache-2.0
	Twemoji              // Twemoji, CC-BY 4.0
	Fluent               // Fluent Emoji Flat, MIT: for tests only, nothing is trained on it
)

// StyleCount is the number of styles that the kit's models and bridges were trained on. They are
// the lowest values.
const StyleCount = int(Fluent)

var styleNames = [...]string{Noto: "noto", Twemoji: "twemoji", Fluent: "fluent"}

// allStyles is the number of all drawing styles.
const allStyles = len(styleNames)

// String returns the style's name.
func (s Style) String() string { return styleNames[s] }

// Picture is a rendered scene.
type Picture struct {
	Pix    []uint8 // uint8[Side, Side, 3], sRGB
	Labels []uint8 // uint8[Side, Side]: the Object that covers the pixel, or Background
}

// Image returns the picture as an image.
func (p Picture) Image() *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, Side, Side))
	for i := range Side * Side {
		copy(img.Pix[4*i:], p.Pix[3*i:3*i+3])
		img.Pix[4*i+3] = 255
	}
	return img
}

// Renderer draws scenes. It keeps the sprites that it has scaled.
type Renderer struct {
	sprites [allStyles][]*image.RGBA // premultiplied, by object

	mu     sync.Mutex
	scaled map[scaledID]*image.RGBA
}

type scaledID struct {
	style  Style
	object Object
	size   int
}

// allSprites decodes the sprites of all styles, once in a process: nothing changes them.
var allSprites = sync.OnceValues(func() (all [allStyles][]*image.RGBA, err error) {
	for style := range Style(allStyles) {
		if all[style], err = loadSprites(style); err != nil {
			return all, fmt.Errorf("sprites of style %s: %w", style, err)
		}
	}
	return all, nil
})

// NewRenderer returns a renderer of the sprites that this package embeds.
func NewRenderer() (*Renderer, error) {
	sprites, err := allSprites()
	if err != nil {
		return nil, err
	}
	return &Renderer{sprites: sprites, scaled: map[scaledID]*image.RGBA{}}, nil
}

// sprite returns the object's artwork scaled to a square of the given size.
func (r *Renderer) sprite(id scaledID) *image.RGBA {
	r.mu.Lock()
	defer r.mu.Unlock()
	if img, ok := r.scaled[id]; ok {
		return img
	}
	source := r.sprites[id.style][id.object]
	img := image.NewRGBA(image.Rect(0, 0, id.size, id.size))
	draw.CatmullRom.Scale(img, img.Bounds(), source, source.Bounds(), draw.Src, nil)
	r.scaled[id] = img
	return img
}

// placed is one object at its place in a picture: a square with its top left corner and its side.
type placed struct {
	object     Object
	x, y, size int
	mirrored   bool
}

// Render draws the scene. The seed settles what the scene leaves open: places, sizes, mirroring,
// shades of the background and brightness.
func (r *Renderer) Render(s Scene, style Style, seed uint64) Picture {
	rng := rand.New(rand.NewPCG(seed, streamRender))
	var background [3]int
	for i, v := range colors[s.Color].rgb {
		background[i] = clamp(v + between(rng, -8, 8))
	}
	objects := arrange(s, rng)
	brightness := between(rng, 963, 1085) // 1024ths

	p := Picture{Pix: make([]uint8, 3*Side*Side), Labels: make([]uint8, Side*Side)}
	for i := range Side * Side {
		p.Labels[i] = Background
		for c, v := range background {
			p.Pix[3*i+c] = uint8(v)
		}
	}
	for _, o := range objects {
		p.put(o, r.sprite(scaledID{style, o.object, o.size}))
	}
	for i, v := range p.Pix {
		p.Pix[i] = uint8(clamp((int(v)*brightness + 512) / 1024))
	}
	return p
}

// arrange places the scene's objects so that none overlaps another and all lie in the picture.
func arrange(s Scene, rng *rand.Rand) []placed {
	switch s.Kind {
	case One:
		size := evenBetween(rng, 20, 24)
		if s.Large {
			size = evenBetween(rng, 42, 54)
		}
		return []placed{{s.A, between(rng, 0, Side-size), between(rng, 0, Side-size), size, rng.IntN(2) == 1}}
	case Pair:
		return arrangePair(s, rng)
	case Three:
		return arrangeThree(s, rng)
	default:
		const cell = Side / 2
		cells := rng.Perm(4)[:s.Count]
		objects := make([]placed, len(cells))
		for i, c := range cells {
			size := evenBetween(rng, 22, 28)
			x, y := c%2*cell+between(rng, 0, cell-size), c/2*cell+between(rng, 0, cell-size)
			objects[i] = placed{s.A, x, y, size, rng.IntN(2) == 1}
		}
		return objects
	}
}

// arrangePair places two objects one after the other along the relation's axis, and at about the
// same height across it.
func arrangePair(s Scene, rng *rand.Rand) []placed {
	sizeA, sizeB := evenBetween(rng, 24, 30), evenBetween(rng, 24, 30)
	room := Side - sizeA - sizeB
	gap := between(rng, 0, room)
	alongA := between(rng, 0, room-gap)
	alongB := alongA + sizeA + gap
	base := between(rng, 0, Side-max(sizeA, sizeB))
	acrossA := min(max(base+between(rng, -5, 5), 0), Side-sizeA)
	acrossB := min(max(base+between(rng, -5, 5), 0), Side-sizeB)
	a := placed{s.A, alongA, acrossA, sizeA, rng.IntN(2) == 1}
	b := placed{s.B, alongB, acrossB, sizeB, rng.IntN(2) == 1}
	if s.Relation == Above {
		a.x, a.y = a.y, a.x
		b.x, b.y = b.y, b.x
	}
	return []placed{a, b}
}

// arrangeThree places two objects in a row of two cells, and the third in the row below, about
// halfway between them: below one of them, it would form a column with it, and a second caption
// would be true. x and y change places if the first object lies above the second.
func arrangeThree(s Scene, rng *rand.Rand) []placed {
	const cell = Side / 2
	var objects []placed
	for i, object := range s.Objects() {
		size := evenBetween(rng, 22, 28)
		o := placed{object: object, size: size, mirrored: rng.IntN(2) == 1}
		if i < 2 {
			o.x, o.y = i*cell+between(rng, 0, cell-size), between(rng, 0, cell-size)
		} else {
			o.x, o.y = (Side-size)/2+between(rng, -6, 6), cell+between(rng, 0, cell-size)
		}
		if s.Relation == Above {
			o.x, o.y = o.y, o.x
		}
		objects = append(objects, o)
	}
	return objects
}

// put blends a premultiplied sprite over the picture and labels the pixels that it mostly covers.
func (p Picture) put(o placed, sprite *image.RGBA) {
	for y := range o.size {
		for x := range o.size {
			column := x
			if o.mirrored {
				column = o.size - 1 - x
			}
			source := sprite.Pix[sprite.PixOffset(column, y):]
			i := (o.y+y)*Side + o.x + x
			alpha := int(source[3])
			for c := range 3 {
				under := int(p.Pix[3*i+c]) * (255 - alpha)
				p.Pix[3*i+c] = uint8(clamp(int(source[c]) + (under+127)/255))
			}
			if alpha > 127 {
				p.Labels[i] = uint8(o.object)
			}
		}
	}
}

// between draws an integer from low to high, both included.
func between(rng *rand.Rand, low, high int) int { return low + rng.IntN(high-low+1) }

// evenBetween draws an even integer from low to high, both even and included.
func evenBetween(rng *rand.Rand, low, high int) int { return low + 2*rng.IntN((high-low)/2+1) }

func clamp(v int) int { return min(max(v, 0), 255) }
