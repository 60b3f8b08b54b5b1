// Package comparison compares finished runs. It returns tables of their metrics, the time that
// each way to swap needs to reach the loss of the cold start, a recommendation, and an HTML
// report with curves and pictures.
//
// [Gather] reads finished runs, and first trains the missing runs of recipes and matrices. A
// [Variant] is a combination of frozen models and, in a matrix, an option. Its runs differ only
// in the seed.
//
// The package owns the analysis. Package runs trains, and package runs/report draws. The package
// must not know how a metric is measured.
package comparison
