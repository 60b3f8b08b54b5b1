// Package hfvisionadapter holds the tests of adapter.py, which wraps any vision model
// of Hugging Face transformers.
package hfvisionadapter
