package host

import (
	"fmt"
	"strconv"
	"time"

	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/bytesize"
)

// Limits bound the resources of a plugin. The zero value has no bounds. They do not apply
// to a process that the host has not started.
type Limits struct {
	// Memory bounds the main memory of the plugin's process group, in bytes: allocated
	// and shared memory, including what is swapped out. Mapped files, such as a
	// checkpoint, and GPU memory do not count. The host checks several times a second
	// and kills a plugin above the bound. A Go plugin's runtime gets a limit below it.
	// 0 means no bound.
	Memory int64
	// Devices are the GPUs that the plugin sees, as CUDA_VISIBLE_DEVICES lists them:
	// "0", "0,1", or an empty string for none. nil means those of this process.
	Devices *string
	// Threads bounds the threads that compute at once. The Go runtime, OpenMP, MKL,
	// OpenBLAS and XLA follow it; an adapter may start others. 0 means no bound.
	Threads int
	// GPUMemory bounds the share of a GPU's memory that the plugin takes, above 0 and at most 1. XLA
	// follows it. 0 means the plugin's default.
	GPUMemory float64
	// Call bounds the time of one call, except Load. A plugin that takes longer is
	// killed, started again, and gets the request again, as after any other death. 0
	// means no bound.
	Call time.Duration
}

// environment returns the variables that tell the plugin its limits.
func (l *Limits) environment() []string {
	var env []string
	if l.Memory > 0 { // below the limit, because the process has memory beside the runtime's
		env = append(env, fmt.Sprintf("GOMEMLIMIT=%d", l.Memory/10*9))
	}
	if l.Devices != nil {
		env = append(env, "CUDA_VISIBLE_DEVICES="+*l.Devices)
	}
	if l.GPUMemory > 0 {
		env = append(env, fmt.Sprintf("%s=%g", backends.GPUMemoryVariable, l.GPUMemory))
	}
	if l.Threads > 0 {
		n := strconv.Itoa(l.Threads)
		for _, key := range []string{"GOMAXPROCS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC"} { // the last is XLA's
			env = append(env, key+"="+n)
		}
	}
	return env
}

// killReason says why bridge killed a plugin, and what to do about it.
type killReason struct{ text, remedy string }

// memoryExceeded returns the reason for a plugin above its memory limit.
func (l *Limits) memoryExceeded(used int64) killReason {
	return killReason{
		fmt.Sprintf("killed by bridge: it held %s of memory, its limit is %s", bytesize.Format(used), bytesize.Format(l.Memory)),
		"raise memory_limit, or use a smaller batch or a smaller type (dtype = \"bfloat16\")",
	}
}

// callTimeout returns the reason for a plugin that does not answer.
func (l *Limits) callTimeout() killReason {
	return killReason{
		fmt.Sprintf("killed by bridge: it did not answer within %v", l.Call),
		"raise call_timeout if a call may take longer; otherwise the plugin hangs: report it to its author",
	}
}
