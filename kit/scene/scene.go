package scene

import "encoding/json"

// Kind is the composition of a scene.
type Kind uint8

// The kinds of scenes.
const (
	One   Kind = iota // one object, small or large
	Pair              // two different objects in a relation
	Count             // two to four objects of a kind
	Three             // a pair in a relation, and a third object beside both of them
)

// String returns the kind's name.
func (k Kind) String() string { return [...]string{"one", "pair", "count", "three"}[k] }

// Relation is the position of a pair's first object relative to the second.
type Relation uint8

// The relations.
const (
	LeftOf Relation = iota
	Above
)

// String returns the relation as captions have it.
func (r Relation) String() string { return [...]string{"left of", "above"}[r] }

// other returns the relation along the other axis.
func (r Relation) other() Relation { return Above - r }

// inverse returns the relation seen from the first object.
func (r Relation) inverse() string { return [...]string{"right of", "below"}[r] }

// MaxCount is the largest number of objects of a kind in a Count scene.
const MaxCount = 4

// Scene describes a picture. Fields that its kind does not use are zero. Two scenes are equal if
// and only if their captions are.
type Scene struct {
	Kind     Kind
	Color    Color    // the background
	A        Object   // the object, the first of a pair
	B        Object   // the second of a pair
	C        Object   // the third of a Three scene: below both if Relation is LeftOf, else right of both
	Relation Relation // of a pair, also in a Three scene
	Count    int      // 2 to MaxCount in a Count scene
	Large    bool     // the size in a One scene
}

// Size returns "large" or "small", the size of a One scene.
func (s Scene) Size() string {
	if s.Large {
		return "large"
	}
	return "small"
}

// Objects returns the different objects in the scene, in their order.
func (s Scene) Objects() []Object {
	switch s.Kind {
	case Pair:
		return []Object{s.A, s.B}
	case Three:
		return []Object{s.A, s.B, s.C}
	}
	return []Object{s.A}
}

// MarshalJSON writes the fields that the scene's kind uses, by name. Object names stand beside
// their labels, so that a reader needs no table.
func (s Scene) MarshalJSON() ([]byte, error) {
	fields := map[string]any{"kind": s.Kind.String(), "color": s.Color.String(), "color_index": s.Color, "a": s.A, "a_name": s.A.String()}
	switch s.Kind {
	case One:
		fields["size"] = s.Size()
	case Pair:
		fields["b"], fields["b_name"] = s.B, s.B.String()
		fields["relation"] = s.Relation.String()
	case Count:
		fields["count"] = s.Count
	case Three:
		fields["b"], fields["b_name"] = s.B, s.B.String()
		fields["c"], fields["c_name"] = s.C, s.C.String()
		fields["relation"] = s.Relation.String()
	}
	return json.Marshal(fields)
}
