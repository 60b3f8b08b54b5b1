package scene

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// numbers are the counts in words.
var numbers = [...]string{1: "one", 2: "two", 3: "three", 4: "four"}

// Caption returns the caption that models are trained on: the first of [Scene.Captions].
func (s Scene) Caption() string {
	return fmt.Sprintf("%s on a %s background", s.phrase(), s.Color)
}

// Captions returns five ways to say the scene, as five people would. Each of them says all of the
// scene, so two scenes have no caption in common. All words are words of the kit's tokenizers.
func (s Scene) Captions() []string {
	there := "there is "
	if s.Kind == Count {
		there = "there are "
	}
	return []string{
		s.Caption(),
		fmt.Sprintf("%s%s, and the background is %s", there, s.inversePhrase(), s.Color),
		fmt.Sprintf("a picture of %s on a %s background", s.phrase(), s.Color),
		fmt.Sprintf("%s, and the background is %s", s.inversePhrase(), s.Color),
		fmt.Sprintf("on a %s background %s%s", s.Color, there, s.phrase()),
	}
}

// inversePhrase returns the phrase seen from the second object of a pair; other scenes have one
// phrase only.
func (s Scene) inversePhrase() string {
	if s.Kind != Pair && s.Kind != Three {
		return s.phrase()
	}
	pair := fmt.Sprintf("%s %s %s", s.B.Article(), s.Relation.inverse(), s.A.Article())
	if s.Kind == Three {
		return fmt.Sprintf("%s, both %s %s", pair, s.Relation.other(), s.C.Article())
	}
	return pair
}

// phrase returns the caption without the background.
func (s Scene) phrase() string {
	switch s.Kind {
	case One:
		return fmt.Sprintf("a %s %s", s.Size(), s.A)
	case Pair:
		return fmt.Sprintf("%s %s %s", s.A.Article(), s.Relation, s.B.Article())
	case Three:
		return fmt.Sprintf("%s %s %s, both %s %s", s.A.Article(), s.Relation, s.B.Article(), s.Relation.other(), s.C.Article())
	default:
		return fmt.Sprintf("%s %s", numbers[s.Count], s.A.Plural())
	}
}

// Tags returns the scene as an unordered bag of short texts that together determine the caption:
// the plain-text context that the kit's language models learn to read in any order. Each tag is a
// list of texts with the same meaning.
func (s Scene) Tags() [][]string {
	color := []string{s.Color.String()}
	switch s.Kind {
	case One:
		return [][]string{{s.Size()}, {s.A.String()}, color}
	case Pair:
		relation := [...]string{"left", "above"}[s.Relation]
		return [][]string{{"first " + s.A.String()}, {relation}, {"second " + s.B.String()}, color}
	case Three:
		relation := [...]string{"left", "above"}[s.Relation]
		return [][]string{{"first " + s.A.String()}, {relation}, {"second " + s.B.String()}, {"third " + s.C.String()}, color}
	default:
		return [][]string{{numbers[s.Count]}, {s.A.String(), s.A.Plural()}, color}
	}
}

// QuestionKind is the subject of a question.
type QuestionKind string

// The kinds of questions.
const (
	AskRelation QuestionKind = "relation" // what is left of the apple?
	AskCount    QuestionKind = "count"    // how many dogs are there?
	AskColor    QuestionKind = "color"    // what color is the background?
	AskYesNo    QuestionKind = "yesno"    // is there a dog?
	AskWhat     QuestionKind = "what"     // what is in the picture?
)

// QuestionKinds returns every kind of question, in a fixed order.
func QuestionKinds() []QuestionKind {
	return []QuestionKind{AskRelation, AskCount, AskColor, AskYesNo, AskWhat}
}

// QA is a question about a scene with its answer.
type QA struct {
	Question string       `json:"question"`
	Answer   string       `json:"answer"`
	Kind     QuestionKind `json:"kind"`
}

// Question returns a question about the scene. It draws from rng what the kind leaves open, and
// returns false if the kind does not apply: only pairs have relations.
func (s Scene) Question(rng *rand.Rand, kind QuestionKind) (QA, bool) {
	qa := QA{Kind: kind}
	switch kind {
	case AskRelation:
		if s.Kind != Pair {
			return QA{}, false
		}
		if rng.IntN(2) == 0 {
			qa.Question, qa.Answer = fmt.Sprintf("what is %s the %s?", s.Relation, s.B), s.A.Article()
		} else {
			qa.Question, qa.Answer = fmt.Sprintf("what is %s the %s?", s.Relation.inverse(), s.A), s.B.Article()
		}
	case AskCount:
		present := s.Objects()
		asked := present[rng.IntN(len(present))]
		qa.Question = fmt.Sprintf("how many %s are there?", asked.Plural())
		qa.Answer = numbers[max(s.Count, 1)]
	case AskColor:
		qa.Question, qa.Answer = "what color is the background?", s.Color.String()
	case AskYesNo:
		asked, answer := s.yesNo(rng)
		qa.Question, qa.Answer = fmt.Sprintf("is there %s?", asked.Article()), answer
	case AskWhat:
		qa.Question, qa.Answer = "what is in the picture?", s.phrase()
		switch s.Kind {
		case Pair:
			qa.Answer = s.A.Article() + " and " + s.B.Article()
		case Three:
			qa.Answer = s.A.Article() + ", " + s.B.Article() + " and " + s.C.Article()
		}
	default:
		return QA{}, false
	}
	return qa, true
}

// yesNo picks an object that is in the scene or one that is not, with equal chances.
func (s Scene) yesNo(rng *rand.Rand) (Object, string) {
	present := s.Objects()
	if rng.IntN(2) == 0 {
		return present[rng.IntN(len(present))], "yes"
	}
	for {
		asked := Object(rng.IntN(ObjectCount))
		if !slices.Contains(present, asked) {
			return asked, "no"
		}
	}
}

// Questions returns one question of every kind that applies, in the order of QuestionKinds.
func (s Scene) Questions(rng *rand.Rand) []QA {
	var all []QA
	for _, kind := range QuestionKinds() {
		if qa, ok := s.Question(rng, kind); ok {
			all = append(all, qa)
		}
	}
	return all
}
