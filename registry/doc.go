// Package registry knows the backbones: which id means which frozen model,
// where its weights lie, and which adapter family opens them.
//
// A [Registry] is a value, built from the manifests that ship, those in the
// user's configuration folder, and an explicit list of adapter families; there
// is no global one. [Registry.Lookup] takes a registry id or a folder with a
// Hugging Face checkpoint and returns a [Backbone]; its weights may be missing
// until [Backbone.Folder] is asked for them, so that recipes resolve and
// `bridge models show` works on a machine that has none.
//
// [Backbone.Missing] says what a model without weights needs, and that `bridge
// models pull` fetches it; docs/models.md has the manifests' fields and formulas.
//
// A [Lock] records what a run used: digests of weights and adapters. Resuming
// checks it.
package registry
