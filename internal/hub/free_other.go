//go:build !unix

package hub

import "errors"

// freeSpace returns an error, because it is implemented only on Unix.
func freeSpace(string) (int64, error) { return 0, errors.ErrUnsupported }
