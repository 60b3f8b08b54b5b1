package benchmark

import "strings"

// The files of a task's folder.
const (
	PlanFile    = "plan.json"
	SamplesFile = "samples.jsonl"
	ResultFile  = "result.json"
	// UploadFile is the file for an evaluation server, of tasks that have one.
	UploadFile = "upload.json"
)

// Sample is a line of samples.jsonl: one sample of a task and its answer. Lines are in the order
// of the batches; Index has the order of the task.
type Sample struct {
	Index   int    `json:"index"`             // in the task's files, from 0
	ID      string `json:"id"`                // of the question or picture in the official file
	Picture string `json:"picture,omitempty"` // the name of its file
	// Prompt is the text behind the picture as the language model read it. In retrieval it is the
	// query, if that is a caption.
	Prompt string `json:"prompt"`
	// Raw is the answer as the model gave it: a text, or the best of Choices.
	Raw string `json:"raw"`
	// Normalised is the answer as the metric compared it; for captions, its words between single
	// spaces.
	Normalised string `json:"normalised"`
	// Target are the right answers: of all people, or the captions of the picture, or one.
	Target []string `json:"target"`
	// Score is that of the sample, from 0 to 1. It is null if the sample failed, is left out by the
	// metric, or has none of its own. For captions it is a tenth of CIDEr-D, with words weighed by
	// the references of all samples of the run; in retrieval it is 1 for rank 0.
	Score *float64 `json:"score"`
	// Choices are the candidates of a sample that was ranked, Losses their scores in nats, of
	// which the lowest is best, and Right the number of the right one; null if there is none.
	Choices []string  `json:"choices,omitempty"`
	Losses  []float64 `json:"losses,omitempty"`
	Right   *int      `json:"right,omitempty"`
	// Types are the groups of the sample by kind, such as "answer_type": "number".
	Types map[string]string `json:"types,omitempty"`
	// Rank is that of the best right candidate, from 0, in retrieval; Direction is text (the query
	// is a picture) or image (it is a caption).
	Rank      *int   `json:"rank,omitempty"`
	Direction string `json:"direction,omitempty"`
	// Matches are ITM's logits of caption c with picture i, at [c][i], of an example of Winoground.
	Matches *[2][2]float64 `json:"matches,omitempty"`
	// Error says why the sample has no answer.
	Error string `json:"error,omitempty"`
	// TrainedOn says that the model was trained on the picture.
	TrainedOn bool `json:"trained_on,omitempty"`
	// Seconds is the sample's share of its batch's time. It alone differs between two runs.
	Seconds float64 `json:"seconds"`
}

// damagedID begins the id of a sample whose row could not be read: the number of the row follows.
const damagedID = "row "

// damaged reports whether the row of the sample could not be read.
func (s Sample) damaged() bool { return s.Error != "" && strings.HasPrefix(s.ID, damagedID) }
