// Package workspace opens frozen models and bridges by name, under the user's policy. It
// is the door of the Go API: a program opens a model as the command line does,
//
//	model, err := workspace.OpenModel(ctx, "kit:stage2", workspace.OpenOptions{})
//
// and captions pictures with it (see the example). A [Workspace] knows where things are
// on this machine (the registry of models, the kit, plugins, LAVIS's files), and what
// may start: it applies the user's settings, the lock file and a recipe's constraints to
// every plugin before it starts. It also converts bridges into other forms, verifies
// golden folders, and manages the plugins of a project.
//
// The package must not know how a run folder is laid out beyond the recipe and the lock
// that say what a bridge was trained with, and nothing of training: package runs builds
// on it.
package workspace
