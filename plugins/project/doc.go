// Package project makes and builds the projects of plugin authors: a folder
// with a small model that works, its tests, a recipe, and the SDK that it needs,
// since nothing of ours is published in a registry.
//
// A project is a plugin's folder with a [build] command in its plugin.toml. The
// templates under template/ are programs and packages that are built, tested and
// linted as part of this module; in a project, their name gives way to the
// author's.
package project
