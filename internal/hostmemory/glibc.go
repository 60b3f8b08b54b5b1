//go:build linux && cgo

package hostmemory

/*
#include <malloc.h>

static void map_blocks_from(int bytes) {
#ifdef __GLIBC__
	mallopt(M_MMAP_THRESHOLD, bytes);
#endif
}

static void trim(void) {
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}
*/
import "C"

func mapBlocksFrom(bytes int) { C.map_blocks_from(C.int(bytes)) }

func trim() { C.trim() }
