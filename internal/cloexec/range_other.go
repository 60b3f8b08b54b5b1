//go:build !linux

package cloexec

import "errors"

func markRange() error { return errors.ErrUnsupported }
