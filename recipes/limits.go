package recipes

import (
	"slices"
	"strings"
	"time"

	"github.com/modular-bridging/bridge/internal/bytesize"
)

// Limits bound the process of a frozen model. What is not given is not bounded.
type Limits struct {
	MemoryLimit string  `toml:"memory_limit,omitempty"` // of the host's memory, with a unit: "8GB"
	Devices     *string `toml:"devices"`                // GPUs that the process sees: "0", "0,1", "" for none
	Threads     int     `toml:"threads,omitzero"`       // that compute at once
	CallTimeout string  `toml:"call_timeout,omitempty"` // how long one call may take before the process is taken to hang: "10m"
	Restarts    *int    `toml:"restarts"`               // how often a request is repeated after a death: 3 where it is not given
}

// limitKeys lists the keys of Limits.
func limitKeys() []string {
	return []string{"memory_limit", "devices", "threads", "call_timeout", "restarts"}
}

// KeepsResults reports whether a run may be resumed with another value of a
// recipe's key ("language.memory_limit"): one that says how a run is kept or where
// a frozen model runs, and nothing of what it computes. The number of threads may
// decide in which order sums are taken.
func KeepsResults(key string) bool {
	table, name, _ := strings.Cut(key, ".")
	may := name == "transport" || name != "threads" && slices.Contains(limitKeys(), name)
	return table == "run" || (table == "vision" || table == "language") && may
}

// Memory is memory_limit in bytes, 0 where there is none.
func (l Limits) Memory() int64 {
	bytes, _ := bytesize.Parse(l.MemoryLimit) // check has seen it
	return bytes
}

// Call is call_timeout, 0 where there is none.
func (l Limits) Call() time.Duration {
	d, _ := time.ParseDuration(l.CallTimeout) // check has seen it
	return d
}

func (r *Recipe) checkLimits(table string, b Backbone) {
	if b.MemoryLimit != "" {
		_, err := bytesize.Parse(b.MemoryLimit)
		r.want(table+".memory_limit", err == nil, "%v", err)
	}
	if b.CallTimeout != "" {
		d, err := time.ParseDuration(b.CallTimeout)
		r.want(table+".call_timeout", err == nil && d > 0, "is %q, want a time with a unit, as \"90s\" or \"10m\"", b.CallTimeout)
	}
	if b.Devices != nil {
		r.want(table+".devices", !strings.ContainsAny(*b.Devices, " \t\x00"), "is %q, want GPUs as CUDA_VISIBLE_DEVICES has them, as \"0\" or \"0,1\", or \"\" for none", *b.Devices)
	}
	r.want(table+".threads", b.Threads >= 0, "is %d, want a positive number of threads", b.Threads)
	r.want(table+".restarts", b.Restarts == nil || *b.Restarts >= 0, "is %d, want how often a request is repeated, or 0 for never", valueOf(b.Restarts))
	for _, key := range limitKeys() {
		r.want(table+"."+key, b.Isolation != "none" || !r.doc.Has(table+"."+key), "is given, but %s.isolation is \"none\": only a process of its own has limits", table)
	}
}

func valueOf(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}
