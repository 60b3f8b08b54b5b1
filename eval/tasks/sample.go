package tasks

import (
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/data/record"
)

// Sample is one sample of a task: a picture, what is asked about it, and what is right.
type Sample struct {
	ID       string // of the question or the picture in the official file
	Picture  *record.Picture
	Second   *record.Picture // of an example of Winoground; nil for others
	Question string          // as the file has it; empty for captions
	Context  string          // what is told before the question, such as a hint; mostly empty
	// Targets are the right answers: those of all people in their order, a picture's captions, or
	// one text.
	Targets []string
	// Choices are the candidates of a sample that is ranked, and Right is the number of the right
	// one, from 0; -1 if there is none.
	Choices []string
	Right   int
	// Types are the groups that the sample belongs to, by kind, such as answer_type: number.
	Types map[string]string
	// Captions has the captions of the picture, in retrieval; one of each picture of an example,
	// in Winoground.
	Captions []string
}

// Process returns a caption as the processor of captions prepares it.
func (r Retrieve) Process(caption string) string {
	if r.Caption != BLIPCaption {
		return caption
	}
	return data.ProcessCaption(caption)
}

// question returns the sample's question as the task's processor prepares it.
func (t *Task) question(s Sample) string {
	if t.Prompt.Question == NoProcessor {
		return s.Question
	}
	return data.ProcessQuestion(s.Question)
}
