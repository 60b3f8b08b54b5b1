package main

import (
	"io"
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

// shared is the line of a watcher.
type shared struct {
	PSS     int64 `json:"pss"`
	Samples int   `json:"pss_samples"`
}

// watch samples the proportional set sizes of a process and those that it starts until stdin ends.
func watch(pid int) error {
	peak := procfs.WatchShared(pid)
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	bytes, samples, err := peak.Stop()
	if err != nil {
		return err
	}
	say(shared{bytes, samples})
	return nil
}
