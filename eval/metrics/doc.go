// Package metrics computes the official scores of vision-language benchmarks from texts:
// what a model answered and what people answered.
//
// Each metric is a function of one file, and is proved against the code that defines it
// ([VQAAccuracy] against vqaEval.py of GT-Vision-Lab/VQA). Where several variants of a
// metric are in use, its doc comment names the one that it computes.
//
// Package metrics knows texts alone: no model, no data set and no run. It imports nothing
// of bridge. Package eval decides which answers are scored by which metric.
package metrics
