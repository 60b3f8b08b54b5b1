package main

import (
	"os"

	"github.com/modular-bridging/bridge/internal/procfs"
)

// family returns this process and those that it started, and these did, which still run.
func family() []procfs.Process { return procfs.Family(os.Getpid()) }

// processorSeconds returns the processor time of these processes so far, of all threads.
func processorSeconds() (float64, error) {
	var sum float64
	for _, p := range family() {
		sum += p.CPU.Seconds()
	}
	return sum, nil
}

// peak returns the sum of the highest resident sizes of these processes so far, in bytes.
func peak() (sum int64, err error) {
	for _, p := range family() {
		bytes, err := procfs.Peak(p.PID)
		if err != nil {
			return 0, err
		}
		sum += bytes
	}
	return sum, nil
}
