// Package data is what a bridge is trained and measured on: pictures with
// captions, and questions with answers.
//
// A [Dataset] never changes while it is open and may be read from several
// goroutines. Which examples make up a batch, and what is asked of each, are
// pure functions of a seed and a place in the run: a resumed run needs no state.
package data

// QA is a question about a picture and its answer.
type QA struct {
	Question, Answer string
	Kind             string // "count", "color", …; empty where the data does not say
}

// Example is a picture with what is said of it.
type Example struct {
	ID        string // of the picture, for people: a file name or "held-out/17"
	ImageID   int32  // equal for examples that show the same thing: positives of each other in ITC
	Captions  []string
	Questions []QA
	Kind      string // what is shown: "one", "count" or "pair" in the kit; empty where the data does not say
}

// Dataset is a fixed list of examples.
type Dataset interface {
	Name() string
	// Digest identifies the pictures and their order, for feature caches.
	Digest() string
	Len() int
	// Example returns what is said of picture i, without reading it.
	Example(i int) Example
	// Image returns picture i as uint8[H, W, 3], RGB, at the size that the data
	// set was opened with: the encoder's.
	Image(i int) ([]uint8, error)
}

// Pick is an example's part in a batch.
type Pick struct {
	Index    int    // into the data set
	Caption  string // the caption drawn, unless Question is set
	Question *QA    // the question drawn
	Prefix   string // prefix-LM: the caption's first part; Caption is then the rest
}
