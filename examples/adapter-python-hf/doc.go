// Package hfadapter holds the tests of adapter.py, which wraps any language model of
// Hugging Face transformers.
package hfadapter
