//go:build !unix

package hub

import "errors"

// freeSpace is known on Unix only.
func freeSpace(string) (int64, error) { return 0, errors.ErrUnsupported }
