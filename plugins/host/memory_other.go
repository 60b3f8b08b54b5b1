//go:build unix && !linux

package host

import (
	"errors"
	"runtime"
)

// memoryGroup stands for a plugin's processes, whose memory this system does not show.
type memoryGroup struct {
	leader int
	folder string
}

func (g *memoryGroup) refresh() {}

func (g *memoryGroup) used() (int64, error) {
	return 0, errors.New("bridge cannot see the memory of processes on " + runtime.GOOS)
}
