package recipes

import (
	"strings"
	"time"

	"github.com/modular-bridging/bridge/internal/bytesize"
)

// Limits are the keys of [vision] and [language] that bound the process of a frozen
// model. Each is unbounded by default, except Restarts.
type Limits struct {
	// MemoryLimit is how much of the host's memory the process may hold, with a unit:
	// "8GB", "1.5GiB".
	MemoryLimit string `toml:"memory_limit,omitempty"`
	// Devices are the GPUs that the process sees, as in CUDA_VISIBLE_DEVICES: "0", "0,1",
	// or "" for none.
	Devices *string `toml:"devices"`
	// Threads is the number of threads that compute at once.
	Threads int `toml:"threads,omitzero"`
	// GPUMemory is the share of a GPU's memory that the process may take, above 0 and at
	// most 1. Default 0.95: processes that share a card take what they need of it.
	GPUMemory float64 `toml:"gpu_memory,omitzero"`
	// CallTimeout is how long one call may take before the process is taken to hang, with
	// a unit: "90s", "10m".
	CallTimeout string `toml:"call_timeout,omitempty"`
	// Restarts is how often a request is repeated after the process has died. Default 3.
	Restarts *int `toml:"restarts"`
}

// limitKeys lists the keys of Limits.
func limitKeys() []string {
	return []string{"memory_limit", "devices", "threads", "gpu_memory", "call_timeout", "restarts"}
}

// Memory returns the memory limit in bytes, or 0 if there is none.
func (l Limits) Memory() int64 {
	bytes, _ := bytesize.Parse(l.MemoryLimit) // check has verified it
	return bytes
}

// Call returns the time limit of a call, or 0 if there is none.
func (l Limits) Call() time.Duration {
	d, _ := time.ParseDuration(l.CallTimeout) // check has verified it
	return d
}

func (r *Recipe) checkLimits(table string, b Backbone) {
	if b.MemoryLimit != "" {
		_, err := bytesize.Parse(b.MemoryLimit)
		r.want(table+".memory_limit", err == nil, "%v", err)
	}
	if b.CallTimeout != "" {
		d, err := time.ParseDuration(b.CallTimeout)
		r.want(table+".call_timeout", err == nil && d > 0, "is %q, want a time with a unit, such as \"90s\" or \"10m\"", b.CallTimeout)
	}
	if b.Devices != nil {
		r.want(table+".devices", !strings.ContainsAny(*b.Devices, " \t\x00"),
			"is %q, want GPUs as in CUDA_VISIBLE_DEVICES, such as \"0\" or \"0,1\", or \"\" for none", *b.Devices)
	}
	r.want(table+".threads", b.Threads >= 0, "is %d, want a positive number of threads", b.Threads)
	r.wantShare(table+".gpu_memory", b.GPUMemory)
	r.want(table+".restarts", b.Restarts == nil || *b.Restarts >= 0,
		"is %d, want how often a request is repeated, or 0 for never", valueOf(b.Restarts))
	for _, key := range limitKeys() {
		r.want(table+"."+key, b.Isolation != IsolationNone || !r.doc.Has(table+"."+key),
			"is given, but %s.isolation is \"none\": only a process of its own has limits", table)
	}
}

// wantShare checks a share of a GPU's memory; 0 is the default.
func (r *Recipe) wantShare(key string, share float64) {
	r.want(key, !r.doc.Has(key) || share > 0 && share <= 1, "is %v, want a share of the GPU's memory above 0 and at most 1", share)
}

func valueOf(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}
