// Package memfile makes memory files: nameless, of a fixed size, and sealed. They are
// what host and plugin share tensors in, and the kernel frees them with the last
// process that has one.
package memfile
