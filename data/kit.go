package data

import (
	"image"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/kit"
	"github.com/modular-bridging/bridge/kit/scene"
)

// kitSet is the data set of a split of the kit's emoji scenes.
type kitSet struct {
	split  kit.Split
	scenes *kit.Data
	spec   adapters.ImageSpec
	n      int
}

// OpenKit opens the first n pictures of a split of the kit's emoji scenes, at an
// encoder's size. n = 0 opens all of them.
func OpenKit(split kit.Split, n int, spec adapters.ImageSpec) (Dataset, error) {
	scenes, err := kit.Open(split)
	if err != nil {
		return nil, err
	}
	if n < 0 || n > scenes.Len() {
		return nil, adapters.Errorf(adapters.Invalid, "kit:%s has %d pictures, want %d", split, scenes.Len(), n)
	}
	if n == 0 {
		n = scenes.Len()
	}
	return &kitSet{split: split, scenes: scenes, spec: spec, n: n}, nil
}

func (k *kitSet) Name() string { return "kit:" + string(k.split) }

func (k *kitSet) Digest() string { return k.scenes.Digest() + sizeKey(k.spec) }

func (k *kitSet) Len() int { return k.n }

func (k *kitSet) Record(i int) (Record, error) {
	e := k.scenes.Example(i)
	out := Record{ID: e.ID, ImageID: e.ImageID, Captions: []string{e.Caption}, Kind: e.Scene.Kind.String(), Questions: make([]QA, len(e.Questions))}
	for j, q := range e.Questions {
		out.Questions[j] = QA{Question: q.Question, Answer: q.Answer, Kind: string(q.Kind)}
	}
	return out, nil
}

func (k *kitSet) Image(i int) (*adapters.Tensor, error) {
	if k.spec.Width == scene.Side && k.spec.Height == scene.Side && k.spec.ShortestEdge <= scene.Side {
		return adapters.FromUint8(k.scenes.Image(i), scene.Side, scene.Side, 3), nil
	}
	return process(k.Picture(i), k.spec)
}

// Picture returns picture i as it was drawn.
func (k *kitSet) Picture(i int) image.Image { return k.scenes.Picture(i).Image() }
