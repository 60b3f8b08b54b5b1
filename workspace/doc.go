// Package workspace opens frozen models and bridges by name, under the user's policy. It is
// the entry point of the Go API. A program opens a model like the command line does, and
// captions pictures with it (see the example):
//
//	model, err := workspace.OpenModel(ctx, "kit:stage2", workspace.OpenOptions{})
//
// A [Workspace] finds models on this machine: in the registry, the kit, plugins and LAVIS's
// files. Before it starts a plugin, it applies the user's settings, the lock file and the
// constraints of the recipe. A Workspace also downloads models, converts bridges into other
// forms, verifies golden folders, and manages the plugins of a project.
//
// The package must not know how training works. Of a run folder it reads only the recipe, the
// lock and the trained bridge. It passes the caller's [metrics.Progress] on. Package runs builds
// on it.
//
// [metrics.Progress]: https://pkg.go.dev/github.com/modular-bridging/bridge/train/metrics#Progress
package workspace
