package runs

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/qformer"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/train/memory"
	"github.com/modular-bridging/bridge/workspace"
)

// MemoryUse is the estimate of the memory that the processes of a recipe's run take at their peaks.
type MemoryUse struct {
	OnGPU     bool             `json:"gpu"` // the memory is a GPU's, and otherwise the host's
	Processes []memory.Process `json:"processes"`
}

// EstimateMemory estimates the memory of a recipe's run on this machine's backend, without weights.
func EstimateMemory(ctx context.Context, w *workspace.Workspace, r *recipes.Recipe) (MemoryUse, error) {
	m, err := modelsOf(w, r)
	if err != nil {
		return MemoryUse{}, err
	}
	return m.memory(ctx, w, r)
}

// memory estimates the memory of a run of r.
func (m models) memory(ctx context.Context, w *workspace.Workspace, r *recipes.Recipe) (MemoryUse, error) {
	shape, machine, err := m.shape(ctx, w, r)
	if err != nil {
		return MemoryUse{}, err
	}
	return MemoryUse{machine.OnGPU, r.Processes(shape, m.vision, m.language, machine)}, nil
}

// shape returns the shape of a recipe's Q-Former, and what else an estimate needs.
func (m models) shape(ctx context.Context, w *workspace.Workspace, r *recipes.Recipe) (c qformer.Config, machine recipes.Machine, err error) {
	machine.OnGPU = onGPU(r)
	if c, _, err = shapeOf(ctx, w, r, m.vision.Width, m.width()); err == nil {
		machine.Start, err = m.startOf(ctx, w, r)
	}
	return c, machine, err
}

// onGPU reports whether a recipe's run computes on a GPU: it says so, or this machine has one.
func onGPU(r *recipes.Recipe) bool {
	if r.Run.Backend == backends.XLACUDA {
		return true
	}
	choice, err := backends.Choose(r.Run.Backend)
	return err == nil && choice.OnGPU()
}

// ModelMemory estimates the memory of a frozen model's own process on the backend that this machine takes by
// default, without weights. Figures that are not known are 0.
func ModelMemory(m registry.Backbone) registry.Memory {
	choice, err := backends.Choose(backends.Auto)
	return recipes.ModelMemory(m, err == nil && choice.OnGPU())
}

// Total returns the sum of the peaks.
func (u MemoryUse) Total() int64 { return memory.Total(u.Processes) }

// Of says whose memory it is, for people.
func (u MemoryUse) Of() string {
	if u.OnGPU {
		return "GPU memory"
	}
	return "memory"
}

// Comment returns the estimate as comment lines of a recipe.
func (u MemoryUse) Comment() string {
	var b strings.Builder
	peaks := "at the peak of the process"
	if n := len(u.Processes); n > 1 {
		peaks = fmt.Sprintf("at the peaks of %d processes together", n)
	}
	fmt.Fprintf(&b, "# Estimated %s: %s %s\n", u.Of(), registry.Size(u.Total()), peaks)
	for _, p := range u.Processes {
		fmt.Fprintf(&b, "#   %-10s%8s", p.Name, registry.Size(p.Peak()))
		separator := ": "
		for _, part := range p.Parts {
			if part.Bytes > 0 {
				fmt.Fprintf(&b, "%s%s %s", separator, registry.Size(part.Bytes), part.Holds)
				separator = ", "
			}
		}
		if !p.Known {
			fmt.Fprintf(&b, "%snot all of it is known", separator)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// largest returns the process that takes most.
func (u MemoryUse) largest() memory.Process {
	most := u.Processes[0]
	for _, p := range u.Processes {
		if p.Peak() > most.Peak() {
			most = p
		}
	}
	return most
}

// CheckMemory compares the estimate of a run's memory with what there is. It returns an error of kind
// Exhausted if the run cannot fit: on the host if even a fifth less does not fit, on a GPU if weights and
// moments alone do not. It logs a warning if the run may not fit now, or if the recipe has
// run.ignore_memory. It loads no weights.
func CheckMemory(ctx context.Context, w *workspace.Workspace, r *recipes.Resolved) error {
	use, err := models{r.VisionModel, r.LanguageModel}.memory(ctx, w, &r.Recipe)
	if err != nil {
		return err
	}
	for _, room := range rooms(ctx, r, use) {
		problem, fatal := room.problem()
		switch {
		case problem == "":
		case fatal && !r.Run.IgnoreMemory:
			return adapters.Errorf(adapters.Exhausted, "%s", problem).
				WithRemedy("%s; run.ignore_memory = true starts the run in any case", remedy(r, room.use))
		default:
			w.Log().Warn(problem, "remedy", remedy(r, room.use))
		}
	}
	return nil
}

// room is a memory, and the processes of a run that share it.
type room struct {
	use         MemoryUse
	name        string // "this machine", "GPU 0 (NVIDIA H200)"
	total, free int64
	share       float64 // of the total that the processes may take; 1 for all
	key         string  // that sets the share; empty if none does
}

// problem says what does not fit, or returns "". It is fatal if that is certain.
func (r room) problem() (text string, fatal bool) {
	need, may := r.use.Total(), int64(r.share*float64(r.total))
	least := int64(float64(need) * (1 - memory.Tolerance))
	if r.use.OnGPU { // the estimate was not compared with a GPU
		least = 0
		for _, p := range r.use.Processes {
			least += p.Certain()
		}
	}
	largest := r.use.largest()
	text = fmt.Sprintf("the run takes about %s of %s by the estimate, most of it in the process [%s] (%s", registry.Size(need), r.use.Of(),
		largest.Name, registry.Size(largest.Peak()))
	if largest.Model != "" {
		text += ", " + largest.Model
	}
	text += ")"
	limit := ""
	if r.key != "" {
		limit = fmt.Sprintf(", of which it may take %s (%s)", registry.Size(may), r.key)
	}
	switch {
	case least > may:
		return fmt.Sprintf("%s; %s has %s%s", text, r.name, registry.Size(r.total), limit), true
	case need > may || float64(need)*(1+memory.Tolerance) > float64(r.free):
		if need <= may {
			limit = ""
		}
		return fmt.Sprintf("%s; %s has %s free, of %s%s: it may not fit", text, r.name, registry.Size(r.free), registry.Size(r.total), limit), false
	}
	return "", false
}

// remedy says what makes a run smaller, by what takes most.
func remedy(r *recipes.Resolved, use MemoryUse) string {
	var all []string
	largest := use.largest()
	weights := largest.Certain()
	work := largest.Peak() - weights
	if work > weights || largest.Name == memory.Bridge {
		micro := r.Optimizer.Batch / max(1, r.Optimizer.Accumulate)
		if r.Stage == 2 && micro > 1 {
			all = append(all, fmt.Sprintf("raise optimizer.accumulate above %d (micro-batches of %d pictures)",
				max(1, r.Optimizer.Accumulate), micro))
		} else if micro > 2 {
			all = append(all, fmt.Sprintf("lower optimizer.batch below %d", r.Optimizer.Batch))
		}
	}
	if largest.Name == memory.Bridge && !r.Run.Checkpointing {
		all = append(all, "set run.checkpointing = true")
	}
	for _, side := range []struct {
		name, dtype string
		there       bool
	}{{memory.Vision, cmp.Or(r.Vision.DType, r.VisionModel.DType), true}, {memory.Language, languageDType(r), r.LanguageModel != nil}} {
		if side.there && side.name == largest.Name && side.dtype != adapters.BFloat16.String() && narrowerHelps(r, use.OnGPU, weights, work) {
			all = append(all, fmt.Sprintf("set %s.dtype = \"bfloat16\"", side.name))
		}
	}
	if len(all) == 0 || weights > work {
		all = append(all, "use a smaller model, or a machine with more memory")
	}
	return strings.Join(all, ", or ")
}

// narrowerHelps reports whether a frozen model in bfloat16 takes noticeably less. On a processor only its
// weights do, and the Go backend refuses the type.
func narrowerHelps(r *recipes.Resolved, gpu bool, weights, work int64) bool {
	if choice, err := backends.Choose(r.Run.Backend); err == nil && choice.Name == backends.Go {
		return false
	}
	return gpu || weights > work/4
}

func languageDType(r *recipes.Resolved) string {
	if r.LanguageModel == nil {
		return ""
	}
	return cmp.Or(r.Language.DType, r.LanguageModel.DType)
}
