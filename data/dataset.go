package data

import "github.com/modular-bridging/bridge/adapters"

// QA is a question about a picture and its answer. [NewQA] makes one with the answers of
// several people.
type QA struct {
	Question string
	Answer   string   // the answer; of several, the one that most people gave
	Answers  []string // of all people who were asked, in the order of the data; nil if there is one
	Kind     string   // "count", "color", …; empty where the data does not say
}

// Record is a picture's captions and questions.
type Record struct {
	ID        string // of the picture, for people: a file name or "held-out/17"
	ImageID   int32  // equal for records that show the same thing: positives of each other in ITC
	Captions  []string
	Questions []QA
	Kind      string // what is shown: "one", "count" or "pair" in the kit; empty where the data does not say
}

// Dataset is a fixed list of records and their pictures.
type Dataset interface {
	Name() string
	// Digest identifies the pictures and their order, for feature caches.
	Digest() string
	Len() int
	// Record returns the captions and questions of picture i without reading it.
	Record(i int) Record
	// Image returns picture i as uint8[H, W, 3], RGB, at the size that the data set was
	// opened for: the encoder's.
	Image(i int) (*adapters.Tensor, error)
}

// Sample is a caption or a question that was drawn from a record for a batch.
type Sample struct {
	Index    int    // of the record in the data set
	Caption  string // the caption drawn, unless Question is set
	Question *QA    // the question drawn
	Prefix   string // the caption's first part if an objective splits it; Caption is then the rest
}
