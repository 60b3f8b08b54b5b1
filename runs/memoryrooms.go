package runs

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/hostmemory"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/train/memory"
)

// rooms returns the memories of this machine that a run needs, with the processes that share each. It
// returns none if the machine does not say how much it has.
func rooms(ctx context.Context, r *recipes.Resolved, use MemoryUse) []room {
	if use.OnGPU {
		return cardRooms(r, use, backends.Cards(ctx))
	}
	if host, ok := hostmemory.Now(); ok {
		return []room{{use: use, name: host.Bound, total: host.Total, free: host.Free, share: 1}}
	}
	return nil
}

// cardRooms returns a room for each card, with all processes that compute on it, and one for each process
// with its own share of a card.
func cardRooms(r *recipes.Resolved, use MemoryUse, cards []backends.Card) (all []room) {
	byCard := map[int][]memory.Process{}
	for _, p := range use.Processes {
		i := cardOf(r, p.Name)
		if i < 0 || i >= len(cards) {
			continue
		}
		byCard[i] = append(byCard[i], p)
		key, share := gpuShare(r, p.Name)
		all = append(all, cardRoom(i, cards[i], use, share, key, p))
	}
	for i, card := range cards {
		if len(byCard[i]) > 1 {
			all = append(all, cardRoom(i, card, use, 1, "", byCard[i]...))
		}
	}
	return all
}

func cardRoom(i int, card backends.Card, use MemoryUse, share float64, key string, processes ...memory.Process) room {
	return room{use: MemoryUse{use.OnGPU, processes}, name: fmt.Sprintf("GPU %d (%s)", i, card.Name),
		total: int64(card.Total) << 20, free: int64(card.Free) << 20, share: share, key: key}
}

// cardOf returns the card that a process computes on: the first one that it sees. It is negative if it
// sees none, or if cards are named in another way than by number.
func cardOf(r *recipes.Resolved, process string) int {
	seen, given := os.LookupEnv("CUDA_VISIBLE_DEVICES")
	devices := map[string]*string{memory.Vision: r.Vision.Devices}
	if r.Language != nil {
		devices[memory.Language] = r.Language.Devices
	}
	if d := devices[process]; d != nil {
		seen, given = *d, true
	}
	if !given {
		return 0
	}
	first, _, _ := strings.Cut(seen, ",")
	n, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		return -1
	}
	return n
}

// gpuShare returns the share of a card that a process may take, and the key that sets it.
func gpuShare(r *recipes.Resolved, process string) (key string, share float64) {
	share = r.Run.GPUMemory
	switch process {
	case memory.Vision:
		share = r.Vision.GPUMemory
	case memory.Language:
		share = r.Language.GPUMemory
	}
	if share == 0 {
		share = backends.DefaultGPUMemory
	}
	return process + ".gpu_memory", share
}
