// Package hfadapter tests adapter.py, which wraps any language model of Hugging Face
// transformers.
package hfadapter
