// Package comparison compares finished runs. It returns tables of their metrics, the cost of each
// way to swap beside that of the cold start, a recommendation, and an HTML report with curves and
// pictures.
//
// [Gather] reads finished runs, and first trains the missing runs of recipes and matrices. A
// [Variant] is a combination of frozen models and, in a matrix, an option. Its runs differ only
// in the seed.
//
// A matrix with a ladder is trained run by run ([Options] can limit that): package runs/ladder
// decides which run comes next. A [Climb] is its analysis for one combination of frozen models. It
// can also be made from a file of results.
//
// The package owns the tables. Package runs trains, and package runs/report draws. The package
// must not know how a metric is measured.
package comparison
