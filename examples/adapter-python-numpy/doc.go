// Package numpyadapter holds the tests of adapter.py, a language model in numpy that
// bridge reaches as a plugin.
package numpyadapter
