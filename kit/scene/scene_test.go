package scene

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// The sequences are a contract: a change of a hash is a change of the kit, after which all its
// models have to be trained again.
const (
	wantTrainTexts   = "3f669187284c9f7f2fe20378c309c269fa9d7fac2aa58de2cc2e66cf8429d070"
	wantHeldOutTexts = "83cca11414b70a3c1edb4dd0b64033ca803b191241f52ec3e9a462ce06449362"
	wantPixels       = "9a9a5d0516f1fbdd23619eb484f50daea2e02b00918d798cb0d5df875ee9da91"
	wantFluentThree  = "2a5fd90a1b905867ee4ff43a122ddc7aadeb156962e13a19da1d899114eb1d82"
)

func TestTextsAreAFunctionOfTheSeed(t *testing.T) {
	for split, want := range map[Split]string{Train: wantTrainTexts, HeldOut: wantHeldOutTexts} {
		sum := sha256.New()
		sampler := NewSampler(7, split)
		for range 2000 {
			s := sampler.Next()
			fmt.Fprintln(sum, s.Caption(), s.Tags(), s.Questions(sampler.Rand()))
		}
		if got := hex.EncodeToString(sum.Sum(nil)); got != want {
			t.Errorf("%s: hash of 2000 scenes: got %s, want %s", split, got, want)
		}
	}
}

func TestPixelsAreAFunctionOfTheSeed(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("scaling of sprites uses floating point, which rounds differently on", runtime.GOARCH)
	}
	renderer := newRenderer(t)
	for _, test := range []struct {
		split Split
		style func(i int) Style
		want  string
	}{
		{Train, func(i int) Style { return Style(i % StyleCount) }, wantPixels},
		{ThreeTrain, func(int) Style { return Fluent }, wantFluentThree},
	} {
		sum := sha256.New()
		sampler := NewSampler(7, test.split)
		for i := range 300 {
			p := renderer.Render(sampler.Next(), test.style(i), uint64(i))
			sum.Write(p.Pix)
			sum.Write(p.Labels)
		}
		if got := hex.EncodeToString(sum.Sum(nil)); got != test.want {
			t.Errorf("%s: hash of 300 pictures: got %s, want %s", test.split, got, test.want)
		}
	}
}

func TestHoldOutIsATenth(t *testing.T) {
	held := newHoldOut()
	if got, want := len(held.pairs), ObjectCount*(ObjectCount-1)/2/10; got != want {
		t.Errorf("pairs: got %d, want %d", got, want)
	}
	for count := 1; count <= MaxCount; count++ {
		if got, want := len(held.combos[count]), ObjectCount*ColorCount/10; got != want {
			t.Errorf("combinations with count %d: got %d, want %d", count, got, want)
		}
	}
}

func TestHoldOutNeverLeaks(t *testing.T) {
	train, heldOut := NewSampler(1, Train), NewSampler(1, HeldOut)
	captions := map[string]bool{}
	pairs := map[pairID]bool{}
	combos := map[comboID]bool{}
	for range 200_000 {
		s := train.Next()
		captions[s.Caption()] = true
		if s.Kind == Pair {
			pairs[pairID{min(s.A, s.B), max(s.A, s.B)}] = true
		} else {
			combos[comboID{s.A, s.Color, max(s.Count, 1)}] = true
		}
	}
	kinds := map[Kind]int{}
	for range 20_000 {
		s := heldOut.Next()
		kinds[s.Kind]++
		if captions[s.Caption()] {
			t.Fatalf("held-out caption %q occurs in train", s.Caption())
		}
		if s.Kind == Pair && pairs[pairID{min(s.A, s.B), max(s.A, s.B)}] {
			t.Fatalf("held-out pair of %q occurs in train", s.Caption())
		}
		if s.Kind != Pair && combos[comboID{s.A, s.Color, max(s.Count, 1)}] {
			t.Fatalf("held-out combination of %q occurs in train", s.Caption())
		}
	}
	for kind, want := range map[Kind]int{Pair: 12_000, Count: 6_000, One: 2_000} {
		if got := kinds[kind]; got < want*9/10 || got > want*11/10 {
			t.Errorf("held-out scenes of kind %s: got %d, want about %d", kind, got, want)
		}
	}
}

func TestThreeScenesHoldOutPairs(t *testing.T) {
	held := newHoldOut()
	for split, want := range map[Split]bool{ThreeTrain: false, ThreeHeldOut: true} {
		sampler := NewSampler(1, split)
		places := [3]int{} // of held-out pairs: first and second, first and third, second and third
		for range 20_000 {
			s := sampler.Next()
			if s.Kind != Three || s.A == s.B || s.A == s.C || s.B == s.C {
				t.Fatalf("%s: got %+v, want a scene of three different objects", split, s)
			}
			in := [3]bool{held.holdsPair(s.A, s.B), held.holdsPair(s.C, s.A), held.holdsPair(s.B, s.C)}
			if got := in[0] || in[1] || in[2]; got != want || held.holds(s) != want {
				t.Fatalf("%s: %q has a held-out pair: got %v, want %v", split, s.Caption(), got, want)
			}
			for i, held := range in {
				if held {
					places[i]++
				}
			}
		}
		for i, n := range places {
			if want && (n < 6_000 || n > 10_000) {
				t.Errorf("%s: held-out pairs in places %d: got %d of 20,000, want a third and a few", split, i, n)
			}
		}
	}
}

func TestGrammar(t *testing.T) {
	object := func(name string) Object {
		for o := range Object(ObjectCount) {
			if o.String() == name {
				return o
			}
		}
		t.Fatalf("no object %q", name)
		return 0
	}
	dog, apple, fox := object("dog"), object("apple"), object("fox")
	for _, test := range []struct {
		scene         Scene
		caption, what string
		count         string
		tags          string
	}{
		{Scene{Kind: One, A: dog, Color: Gray}, "a small dog on a gray background", "a small dog", "one", "[[small] [dog] [gray]]"},
		{Scene{Kind: One, A: apple, Color: Red, Large: true}, "a large apple on a red background", "a large apple", "one", "[[large] [apple] [red]]"},
		{Scene{Kind: Pair, A: dog, B: apple, Color: Red}, "a dog left of an apple on a red background", "a dog and an apple", "one", "[[first dog] [left] [second apple] [red]]"},
		{Scene{Kind: Pair, A: apple, B: fox, Relation: Above, Color: White}, "an apple above a fox on a white background", "an apple and a fox", "one", "[[first apple] [above] [second fox] [white]]"},
		{Scene{Kind: Three, A: dog, B: apple, C: fox, Color: Red}, "a dog left of an apple, both above a fox on a red background", "a dog, an apple and a fox", "one", "[[first dog] [left] [second apple] [third fox] [red]]"},
		{Scene{Kind: Three, A: fox, B: dog, C: apple, Relation: Above}, "a fox above a dog, both left of an apple on a red background", "a fox, a dog and an apple", "one", "[[first fox] [above] [second dog] [third apple] [red]]"},
		{Scene{Kind: Count, A: fox, Count: 3, Color: Blue}, "three foxes on a blue background", "three foxes", "three", "[[three] [fox foxes] [blue]]"},
	} {
		s, rng := test.scene, rand.New(rand.NewPCG(1, 2))
		if got := s.Caption(); got != test.caption {
			t.Errorf("caption: got %q, want %q", got, test.caption)
		}
		if got := fmt.Sprint(s.Tags()); got != test.tags {
			t.Errorf("%s: tags: got %s, want %s", test.caption, got, test.tags)
		}
		for kind, want := range map[QuestionKind]string{AskWhat: test.what, AskCount: test.count, AskColor: s.Color.String()} {
			if qa, ok := s.Question(rng, kind); !ok || qa.Answer != want {
				t.Errorf("%s: %s: got %+v, %v, want the answer %q", test.caption, kind, qa, ok, want)
			}
		}
		if _, ok := s.Question(rng, AskRelation); ok != (s.Kind == Pair) {
			t.Errorf("%s: a question about relations: got %v", test.caption, ok)
		}
	}
	if _, ok := (Scene{}).Question(rand.New(rand.NewPCG(1, 2)), "shape"); ok {
		t.Error("a question of an unknown kind: got one, want none")
	}
}

func TestRelationQuestions(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	s := Scene{Kind: Pair, A: 0, B: 16, Relation: Above} // dog above apple
	want := map[string]string{"what is above the apple?": "a dog", "what is below the dog?": "an apple"}
	seen := map[string]bool{}
	for range 50 {
		qa, _ := s.Question(rng, AskRelation)
		if want[qa.Question] != qa.Answer {
			t.Fatalf("got %+v, want one of %v", qa, want)
		}
		seen[qa.Question] = true
	}
	if len(seen) != len(want) {
		t.Errorf("got only %v, want each of %v", seen, want)
	}
}

func TestYesNoIsBalancedAndTrue(t *testing.T) {
	for _, split := range []Split{Train, ThreeTrain} {
		t.Run(split.String(), func(t *testing.T) { mustAskYesNo(t, NewSampler(5, split)) })
	}
}

func mustAskYesNo(t *testing.T, sampler *Sampler) {
	t.Helper()
	yes := 0
	const n = 4000
	for range n {
		s := sampler.Next()
		qa, _ := s.Question(sampler.Rand(), AskYesNo)
		present := false
		for _, o := range s.Objects() {
			present = present || qa.Question == "is there "+o.Article()+"?"
		}
		if present != (qa.Answer == "yes") {
			t.Fatalf("%s: got %+v", s.Caption(), qa)
		}
		if present {
			yes++
		}
	}
	if yes < n*45/100 || yes > n*55/100 {
		t.Errorf("yes: got %d of %d, want about half", yes, n)
	}
}

func TestSpritesExistInEveryStyle(t *testing.T) {
	renderer := newRenderer(t)
	for style := range Style(allStyles) {
		for o := range Object(ObjectCount) {
			sprite := renderer.sprite(scaledID{style, o, 40})
			covered := 0
			for i := 3; i < len(sprite.Pix); i += 4 {
				if sprite.Pix[i] > 127 {
					covered++
				}
			}
			if covered < 40*40/8 {
				t.Errorf("%s %s covers %d of 1600 pixels", style, o, covered)
			}
		}
	}
}

func TestObjectsLieApartAndInside(t *testing.T) {
	for _, split := range []Split{Train, HeldOut, ThreeTrain} {
		sampler := NewSampler(9, split)
		for range 20_000 {
			s := sampler.Next()
			objects := arrange(s, sampler.Rand())
			for i, a := range objects {
				if a.x < 0 || a.y < 0 || a.x+a.size > Side || a.y+a.size > Side {
					t.Fatalf("%s: %+v leaves the picture", s.Caption(), a)
				}
				for _, b := range objects[:i] {
					if a.x < b.x+b.size && b.x < a.x+a.size && a.y < b.y+b.size && b.y < a.y+a.size {
						t.Fatalf("%s: %+v overlaps %+v", s.Caption(), a, b)
					}
				}
			}
		}
	}
}

func TestLabelsNameTheSceneAndItsRelation(t *testing.T) {
	renderer := newRenderer(t)
	samplers := []*Sampler{NewSampler(11, Train), NewSampler(11, ThreeTrain)}
	for i := range 1000 {
		s := samplers[i%2].Next()
		p := renderer.Render(s, Style(i%allStyles), uint64(i))
		var n, sumX, sumY [256]int
		for j, label := range p.Labels {
			n[label]++
			sumX[label] += j % Side
			sumY[label] += j / Side
		}
		present := s.Objects()
		for _, o := range present {
			if n[o] < 40 {
				t.Errorf("%s: %s covers %d pixels", s.Caption(), o, n[o])
			}
			n[o] = 0
		}
		n[Background] = 0
		for label, pixels := range n {
			if pixels > 0 {
				t.Errorf("%s: %d pixels have label %d", s.Caption(), pixels, label)
			}
		}
		lies := func(a, b Object, r Relation) bool { // centres of mass, each times the pixels of the other
			na, nb := count(p.Labels, a), count(p.Labels, b)
			return r == LeftOf && sumX[a]*nb < sumX[b]*na || r == Above && sumY[a]*nb < sumY[b]*na
		}
		if (s.Kind == Pair || s.Kind == Three) && !lies(s.A, s.B, s.Relation) {
			t.Errorf("%s: the first object lies elsewhere", s.Caption())
		}
		if s.Kind == Three && (!lies(s.A, s.C, s.Relation.other()) || !lies(s.B, s.C, s.Relation.other())) {
			t.Errorf("%s: the third object lies elsewhere", s.Caption())
		}
	}
}

func count(labels []uint8, o Object) int {
	n := 0
	for _, label := range labels {
		if label == uint8(o) {
			n++
		}
	}
	return n
}

func TestRendererServesSeveralGoroutines(t *testing.T) {
	renderer := newRenderer(t)
	want := newRenderer(t).Render(Scene{Kind: Count, Count: 4}, Noto, 3)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if got := renderer.Render(Scene{Kind: Count, Count: 4}, Noto, 3); string(got.Pix) != string(want.Pix) {
				t.Error("pixels differ between goroutines")
			}
		})
	}
	wg.Wait()
}

func TestSceneJSONNamesWhatTheKindUses(t *testing.T) {
	for scene, want := range map[Scene]string{
		{Kind: One, A: 1, Large: true}:            "a a_name color color_index kind size",
		{Kind: Pair, A: 1, B: 2, Relation: Above}: "a a_name b b_name color color_index kind relation",
		{Kind: Three, A: 1, B: 2, C: 3}:           "a a_name b b_name c c_name color color_index kind relation",
		{Kind: Count, A: 1, Count: 2}:             "a a_name color color_index count kind",
	} {
		data, err := json.Marshal(scene)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(data, &fields); err != nil {
			t.Fatal(err)
		}
		for _, name := range strings.Fields(want) {
			if _, ok := fields[name]; !ok {
				t.Errorf("%s: no %q in %s", scene.Caption(), name, data)
			}
			delete(fields, name)
		}
		if len(fields) > 0 {
			t.Errorf("%s: unexpected %v", scene.Caption(), fields)
		}
	}
}

func newRenderer(t *testing.T) *Renderer {
	t.Helper()
	renderer, err := NewRenderer()
	if err != nil {
		t.Fatal(err)
	}
	return renderer
}

func TestCaptionsTellScenesApart(t *testing.T) {
	of := map[string]Scene{}
	for _, split := range []Split{Train, HeldOut, ThreeTrain, ThreeHeldOut} {
		sampler := NewSampler(3, split)
		for range 2000 {
			s := sampler.Next()
			captions := s.Captions()
			if len(captions) != 5 || captions[0] != s.Caption() {
				t.Fatalf("%+v: got %q, want five, the first of them %q", s, captions, s.Caption())
			}
			for i, c := range captions {
				if other, ok := of[c]; ok && other != s || slices.Contains(captions[:i], c) {
					t.Errorf("%q is a caption of %+v and of %+v", c, s, other)
				}
				of[c] = s
			}
		}
	}
	want := []string{
		"a dog left of an owl, both above a key on a red background",
		"there is an owl right of a dog, both above a key, and the background is red",
		"a picture of a dog left of an owl, both above a key on a red background",
		"an owl right of a dog, both above a key, and the background is red",
		"on a red background there is a dog left of an owl, both above a key",
	}
	if got := (Scene{Kind: Three, A: 0, B: 12, C: 38}).Captions(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
