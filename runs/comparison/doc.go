// Package comparison puts finished runs side by side: one table, how soon each way to
// swap reached the cold start's loss, what to choose, and a report with curves and
// pictures.
//
// A variant is a setting: a combination of frozen models and, from a matrix, an option.
// Its runs differ in the seed alone. The package owns the analysis; package runs trains
// what is not trained yet and package runs/report draws. It must not know how a figure
// was measured.
package comparison
