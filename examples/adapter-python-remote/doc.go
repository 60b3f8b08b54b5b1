// Package remoteadapter holds the tests of adapter.py, a language model behind a server,
// and of server.py, which they talk to.
package remoteadapter
