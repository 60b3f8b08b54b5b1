// Package hfvisionadapter tests adapter.py, which wraps any vision model of Hugging Face
// transformers.
package hfvisionadapter
