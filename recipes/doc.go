// Package recipes reads and checks recipes: TOML files that say what a run trains, on
// which data, and with which frozen models.
//
// # From file to plan
//
//   - [Load] reads a recipe, a file or the name of one that ships ([Shipped]), with values
//     that replace the file's: "optimizer.steps=200". [LoadForSwap] also replaces the frozen
//     models, and makes the recipe of a run the recipe of a swap. [Recipe.Cold] returns the
//     baseline that a swap is compared with.
//   - [Recipe.Resolve] looks up the frozen models and writes every default out.
//   - [Resolved.Plan] returns what package train runs; [Resolved.Estimate] what that takes.
//   - [Recipe.Encode] writes a recipe that loads to the same value, for a run folder
//     ([RunFile]). [Differences] compares the recipe of a run with that of its resumption.
//
// [LoadMatrix] reads another kind of file: a set of swaps that are to be compared. matrix.go
// describes its keys, ladder.go and passseconds.go those of its table [ladder].
//
// # Where a key is
//
// Each table of a recipe has a file, whose struct describes the keys with units and
// defaults. After the struct come the function that sets the defaults (defaultOptimizer),
// the one that checks (checkOptimizer), and what the table adds to the resolution and to
// the plan:
//
//	name, stage, seed, from   recipe.go      Recipe
//	[vision]                  vision.go      Vision
//	[language]                language.go    Language
//	  both of these           backbone.go    Backbone
//	                          limits.go      Limits
//	[qformer]                 qformer.go     QFormer
//	[data]                    data.go        Data, Source
//	[projection]              projection.go  Projection
//	[objective]               objective.go   Objective
//	[optimizer]               optimizer.go   Optimizer
//	[swap]                    swap.go        Swap
//	[evaluation]              evaluation.go  Evaluation
//	[run]                     run.go         Run
//
// # Checks
//
// A recipe is decoded strictly over the defaults. An unknown key, a value of a wrong type
// or out of range, and values that cannot go together are problems. All problems come in
// one error; each names the line of the file, or the flag that set the value, and says
// what was found and what is wanted. Values that replace the file's pass the same checks.
//
// # Paths
//
// Relative paths in a recipe are relative to the working directory, as on a command line.
// The recipe in a run folder names files of its project relative to the project's folder
// ([Resolved.Portable]), and [Load] makes these paths absolute, so that a project can be
// moved or copied as a whole.
//
// # Limits of the package
//
// The package owns the format of recipes and what it means. It must not open a model,
// read weights or data, or start anything: package workspace opens models, and package
// runs trains. A user's settings and the flags of a command are theirs, too: they arrive
// as an [Override] or in [SwapModels].
package recipes
