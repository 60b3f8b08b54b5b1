// Package eval measures a bridge on pictures that it was not trained on.
//
// [MeasureGrounding] measures the loss of captions with the right picture, another one
// and none; [Captions] and [Answers] generate texts and compare them, answers of several
// people by the VQA accuracy of package eval/metrics; [MeasureRetrieval] ranks pictures and
// captions. These functions take the frozen encoder's features, which the caller has
// computed or cached, and change nothing.
//
// [Metrics] is the table of all figures: their names, how they are shown, and how they
// are computed from what was measured. Everything that writes or shows figures reads that
// table, so a new metric of captions is a row and a function.
//
// Package eval knows bridges and language models. It knows no run, no data set and no
// training: package train decides when to measure and on which pictures.
package eval
