// Package metrics computes the official scores of vision-language benchmarks from what a
// model answered and what people answered: VQA accuracy in five variants, BLEU, ROUGE-L and
// CIDEr-D of tokenised captions, recall of retrieval, and yes/no and multiple-choice
// benchmarks.
//
// Each metric is a function of one file, and is proved against the code that defines it
// ([VQAAccuracy] against vqaEval.py of GT-Vision-Lab/VQA, [BLEU] against pycocoevalcap). Where
// several variants of a metric are in use, the caller names one.
//
// Package metrics knows texts and numbers alone: no model, no file, no data set and no run. It
// imports nothing of bridge. Package eval decides which answers of a run are scored by which
// metric; package eval/score scores files.
package metrics
