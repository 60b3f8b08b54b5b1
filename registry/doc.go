// Package registry owns the ids of backbones: which frozen model an id names, where its weights
// lie, and which adapter family opens it. It must not open models, nor run plugins.
//
// A [Registry] is a value, made from the manifests that ship with bridge, those in the user's
// configuration folder, and a list of adapter families. There is no global registry.
// [Registry.Lookup] takes an id or a folder with a Hugging Face checkpoint and returns a
// [Backbone]. Its weights may be missing until [Backbone.Folder] is called, so that recipes
// resolve and `bridge models show` works on a machine that has none.
//
// [Backbone.Missing] says how large a model without weights is, and that `bridge models pull`
// fetches it. docs/models.md describes the manifests' fields and formulas. [Backbone.Entry] makes
// the entry of a lock file, which package plugins/lockfile owns.
package registry
