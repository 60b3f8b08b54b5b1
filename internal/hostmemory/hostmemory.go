// Package hostmemory owns how this process gives memory back to the system: that of Go's heap, and
// that of the C library, from which XLA's CPU plugin allocates. It must not know what the memory is
// for. It does nothing to the C library where that is not glibc, or in a build without cgo.
package hostmemory

import "runtime/debug"

// LargeBlock is the size, in bytes, from which a block of the C library is large.
const LargeBlock = 1 << 20

// ReturnLargeBlocks makes the C library map each block of 1 MB or more from the system, and return
// it when it is freed. It is for training. Each step allocates and frees gradients, and new values
// of weights and moments. By default glibc keeps freed blocks of up to 32 MB, in a heap for each of
// many threads, and the process grows with every step. A program that frees and allocates many
// blocks of this size a second is slower with it, because the system clears each.
func ReturnLargeBlocks() { mapBlocksFrom(LargeBlock) }

// Settle gives memory back that is not in use: what was needed once, to load weights or to compile
// graphs. It takes as long as a garbage collection.
func Settle() {
	debug.FreeOSMemory()
	trim()
}
