//go:build unix && !linux

package checkpoint_test

import "errors"

func mountSmall(string) error { return errors.New("only done on linux") }

func unmount(string) error { return nil }
