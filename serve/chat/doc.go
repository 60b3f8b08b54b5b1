// Package chat owns OpenAI's chat completions on the wire: the request and how it is checked, the
// answer and its chunks, the error object, and what a conversation reads like to a language model.
//
// The package opens no model and serves nothing. Package serve reads requests with [Parse], and
// package engine answers them.
package chat
