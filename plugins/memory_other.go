//go:build unix && !linux

package plugins

import (
	"errors"
	"runtime"
)

// memoryGroup is a plugin's processes, whose memory is not counted on this system.
type memoryGroup struct {
	leader int
	folder string
}

func (g *memoryGroup) list() {}

func (g *memoryGroup) used() (int64, error) {
	return 0, errors.New("bridge cannot see the memory of processes on " + runtime.GOOS)
}
