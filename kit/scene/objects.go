package scene

import "strings"

// Object is an index into the table of objects. Its value is the label that pictures carry.
type Object uint8

// Background is the Picture.Labels value of a pixel that shows no object.
const Background = 255

// object is the name of a thing that has artwork in every style.
type object struct{ singular, plural string }

// objects is the table of objects. The order is part of the contract: it numbers the labels, and
// the hold-out is drawn over it.
var objects = [...]object{
	{"dog", "dogs"}, {"cat", "cats"}, {"pig", "pigs"}, {"panda", "pandas"}, {"lion", "lions"},
	{"frog", "frogs"}, {"fox", "foxes"}, {"elephant", "elephants"}, {"turtle", "turtles"},
	{"octopus", "octopuses"}, {"crab", "crabs"}, {"butterfly", "butterflies"}, {"owl", "owls"},
	{"penguin", "penguins"}, {"snail", "snails"}, {"whale", "whales"},
	{"apple", "apples"}, {"banana", "bananas"}, {"strawberry", "strawberries"},
	{"carrot", "carrots"}, {"pizza", "pizzas"}, {"burger", "burgers"}, {"donut", "donuts"},
	{"watermelon", "watermelons"}, {"pineapple", "pineapples"}, {"mushroom", "mushrooms"},
	{"taco", "tacos"}, {"lemon", "lemons"},
	{"bus", "buses"}, {"bicycle", "bicycles"}, {"airplane", "airplanes"}, {"rocket", "rockets"},
	{"sailboat", "sailboats"}, {"tractor", "tractors"}, {"helicopter", "helicopters"},
	{"truck", "trucks"},
	{"guitar", "guitars"}, {"camera", "cameras"}, {"key", "keys"}, {"umbrella", "umbrellas"},
	{"balloon", "balloons"}, {"ball", "balls"}, {"crown", "crowns"}, {"book", "books"},
	{"house", "houses"}, {"hammer", "hammers"}, {"rose", "roses"}, {"cactus", "cactuses"},
	{"drum", "drums"}, {"gift", "gifts"}, {"bell", "bells"}, {"clock", "clocks"},
}

// ObjectCount is the number of objects.
const ObjectCount = len(objects)

// String returns the object's name.
func (o Object) String() string { return objects[o].singular }

// Plural returns the name of several of the object.
func (o Object) Plural() string { return objects[o].plural }

// Article returns the name with its indefinite article.
func (o Object) Article() string {
	if strings.ContainsRune("aeiou", rune(o.String()[0])) {
		return "an " + o.String()
	}
	return "a " + o.String()
}

// Color is the colour of a background.
type Color uint8

// The background colours.
const (
	Red Color = iota
	Yellow
	Green
	Blue
	White
	Gray
)

// colors holds each colour's name and its sRGB value before jitter.
var colors = [...]struct {
	name string
	rgb  [3]int
}{
	Red:    {"red", [3]int{214, 72, 72}},
	Yellow: {"yellow", [3]int{244, 214, 92}},
	Green:  {"green", [3]int{104, 190, 110}},
	Blue:   {"blue", [3]int{88, 140, 232}},
	White:  {"white", [3]int{250, 250, 250}},
	Gray:   {"gray", [3]int{128, 128, 132}},
}

// ColorCount is the number of background colours.
const ColorCount = len(colors)

// String returns the colour's name.
func (c Color) String() string { return colors[c].name }
