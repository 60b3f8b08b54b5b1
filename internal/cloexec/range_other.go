//go:build !linux

package cloexec

import "errors"

func keepRange() error { return errors.ErrUnsupported }
