// Package recipes reads and checks recipes: TOML files that say what a run
// trains, on what, joined with which frozen models.
//
// A recipe is decoded strictly over the defaults: an unknown key, a value of
// the wrong type or out of range and a combination that cannot work are errors
// with file, line, key, what was found and what is wanted; all of a file's
// problems come in one error. Overrides ("key=value", as --set gives them) pass
// the same checks.
//
// The stages of a recipe's life: [Load] (from a file or one that ships),
// [Recipe.Resolve] (which frozen models it means, every default filled in),
// [Resolved.Plan] (what package train runs). [Recipe.Encode] writes it so that
// it loads again to the same value: that is what a run folder keeps.
//
// Relative paths in a recipe are relative to the working directory, as on a
// command line.
package recipes
