// Package numpyadapter tests adapter.py, a plugin with a language model in numpy.
package numpyadapter
