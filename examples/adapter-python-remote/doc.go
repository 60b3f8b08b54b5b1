// Package remoteadapter tests adapter.py, which uses a language model on a server, with
// server.py as the server.
package remoteadapter
