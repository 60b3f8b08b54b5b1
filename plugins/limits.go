package plugins

import (
	"fmt"
	"strconv"
	"time"

	"github.com/modular-bridging/bridge/internal/bytesize"
)

// Limits bound what a plugin takes. The zero value bounds nothing; a process
// that is attached to is not bounded.
type Limits struct {
	// Memory is how many bytes the plugin's process group may hold in main
	// memory: what it has allocated, what it shares, and what of that is swapped
	// out. Files that it maps, a checkpoint for instance, and the memory of a GPU
	// do not count. It is looked at several times a second; a process that is
	// above is killed. A Go plugin is told to stay below it. 0: any.
	Memory int64
	// Devices are the GPUs that the plugin sees, as CUDA_VISIBLE_DEVICES has it:
	// "0", "0,1"; empty: none. nil: what this process sees.
	Devices *string
	// Threads is how many threads compute at once. It reaches the Go runtime,
	// OpenMP, MKL, OpenBLAS and XLA; an adapter may start others. 0: any.
	Threads int
	// Call is how long one call may take, Load aside, before the plugin is taken
	// to hang: it is killed, started again, and the request repeated as after any
	// other death. 0: any time.
	Call time.Duration
}

// environment is what tells the plugin of its limits.
func (l *Limits) environment() []string {
	var env []string
	if l.Memory > 0 { // below the limit: the runtime's memory is not all there is
		env = append(env, fmt.Sprintf("GOMEMLIMIT=%d", l.Memory/10*9))
	}
	if l.Devices != nil {
		env = append(env, "CUDA_VISIBLE_DEVICES="+*l.Devices)
	}
	if l.Threads > 0 {
		n := strconv.Itoa(l.Threads)
		for _, key := range []string{"GOMAXPROCS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC"} { // the last is XLA's
			env = append(env, key+"="+n)
		}
	}
	return env
}

// verdict is why bridge itself killed a plugin.
type verdict struct{ reason, remedy string }

// tooMuchMemory is the verdict on a plugin above its limit.
func (l *Limits) tooMuchMemory(used int64) verdict {
	return verdict{
		fmt.Sprintf("killed by bridge: it held %s of memory, its limit is %s", bytesize.Format(used), bytesize.Format(l.Memory)),
		"raise memory_limit, or use a smaller batch or a smaller type (dtype = \"bfloat16\")",
	}
}

// tooSlow is the verdict on a plugin that does not answer.
func (l *Limits) tooSlow() verdict {
	return verdict{
		fmt.Sprintf("killed by bridge: it did not answer within %v", l.Call),
		"raise call_timeout if a call may take longer; otherwise the plugin hangs: report it to its author",
	}
}
