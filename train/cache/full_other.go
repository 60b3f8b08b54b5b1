//go:build !unix

package cache

// full reports whether the disk took no more; here it cannot be told.
func full(error) bool { return false }
