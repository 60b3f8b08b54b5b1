//go:build !linux

package descriptors

import "errors"

func keepRange() error { return errors.ErrUnsupported }
