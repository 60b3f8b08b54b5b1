// Package objective holds the training objectives, one in each file.
//
// An [Objective] is a value: its name in recipes, its stage in BLIP-2's training, the
// language models that it fits, how it draws a [data.Sample] from a record, and which
// example it makes of the sample for the language model. Package train calls the
// value's functions and knows no objective by name.
//
// To add an objective, write a file with a function that returns the value, and add a
// line to [All]: recipes can name it then. A Go program can also put a value of its own
// into a plan ([train.Phase]), as this package's example does.
//
// The losses of stage 1 are graphs, in package qformer/objective; [Representation]
// describes the objective that they make up. In stage 2 the loss is the language
// model's, so an objective decides only what the model reads and what it must write.
//
// Package objective knows records, templates and examples. It knows no encoder, no
// language model and no training loop.
//
// [train.Phase]: https://pkg.go.dev/github.com/modular-bridging/bridge/train#Phase
package objective
