// Package project makes and builds the projects of plugin authors. A project is a plugin's
// folder with a small model that works, its tests, a recipe, and a copy of the SDK, which is
// not published in a registry. Its plugin.toml has a [build] command.
//
// The templates under template/ are programs and packages that are built, tested and linted
// as part of this module. In a project, the author's name replaces theirs.
package project
