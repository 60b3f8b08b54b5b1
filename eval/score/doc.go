// Package score scores files of predictions against the official files of a benchmark, without
// a model: VQA, captions, GQA, A-OKVQA, VizWiz's answerability, POPE, MME, ScienceQA, VSR,
// HatefulMemes, retrieval and Winoground. It reads the files, pairs predictions with questions, and computes the figures of
// package eval/metrics with intervals.
//
// Layouts are strict: an entry that lacks a key, or a file of another layout, is an error that
// names the entry and what was wanted. Missing, extra and duplicate predictions are counted
// and named ([Counts]). Keys that a scorer does not need are ignored, because official files
// have many.
//
// Package score knows files and metrics. It runs no model and prints nothing.
package score
