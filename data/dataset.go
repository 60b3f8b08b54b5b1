package data

import (
	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/record"
)

// QA is a question about a picture and its answer. [NewQA] makes one with the answers of
// several people.
type QA struct {
	Question string
	Answer   string   // the answer; of several, the one that most people gave
	Answers  []string // of all people who were asked, in the order of the data; nil if there is one
	Kind     string   // "count", "color", …; empty where the data does not say
	// Weights are relative to each other, one for each of Answers; nil if every answer counts
	// the same.
	Weights []float64 `json:",omitempty"`
}

// Record is a row of a data set: a picture's captions and questions, of which one is drawn, or
// a sequence of parts, which is trained on as a whole.
type Record struct {
	ID        string // of the picture, for people: a file name or "held-out/17"
	ImageID   int32  // equal for records that show the same thing: positives of each other in ITC
	Group     string `json:",omitempty"` // takes the place of ImageID if it is not empty
	Captions  []string
	Questions []QA
	Kind      string // what is shown: "one", "count" or "pair" in the kit; empty where the data does not say
	// Weights are relative to each other, one for each caption; nil if all captions are
	// equally likely.
	Weights []float64 `json:",omitempty"`
	// Sequence has the parts of a record that is more than one picture with captions or a
	// question: a conversation, a document, a text alone. It is nil otherwise. Captions are
	// empty then, and Questions has the first question, for evaluations.
	Sequence []record.Part `json:"-"`
}

// Dataset is a fixed list of records and their pictures.
type Dataset interface {
	Name() string
	// Digest identifies the pictures and their order, for feature caches.
	Digest() string
	Len() int
	// Record returns row i without reading its pictures. The error is a [*PictureError] if
	// the row is to blame. Only a [Lazy] data set returns one.
	Record(i int) (Record, error)
	// Image returns the picture of row i as uint8[H, W, 3], RGB, at the size that the data
	// set was opened for: the encoder's. Image(i+k*Len()) is picture k of a row that has
	// several; see [PictureAt].
	Image(i int) (*adapters.Tensor, error)
}

// Lazy is a data set whose records are read when they are drawn, so that any of them may turn
// out to be bad. Opening it reads few of them.
type Lazy interface {
	Dataset
	// RowOf returns the row whose record has an ID, whether the record can be read or not.
	RowOf(id string) (row int, ok bool)
	// IDOf returns the ID of a row without reading the record.
	IDOf(row int) string
	// Bad returns the error of a row's record for a reason, with the record's place.
	Bad(row int, why record.Why, err error) *PictureError
}

// PictureAt returns the index for [Dataset.Image] of picture k of a row.
func PictureAt(d Dataset, row, k int) int { return row + k*d.Len() }

// Sample is a caption or a question that was drawn from a record for a batch.
type Sample struct {
	Index    int    // of the record in the data set
	ImageID  int32  // equal for samples of the batch that show the same thing
	Caption  string // the caption drawn, unless Question is set
	Question *QA    // the question drawn
	Prefix   string // the caption's first part if an objective splits it; Caption is then the rest
	Turns    []Turn // the sequence drawn; Caption and Question are empty then
}
