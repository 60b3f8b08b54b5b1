package runs

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/train/memory"
	"github.com/modular-bridging/bridge/workspace"
)

// checkedMemory returns the result of CheckMemory for a recipe of the kit, and what it logged.
func checkedMemory(t *testing.T, recipe string, sets ...string) (string, error) {
	t.Helper()
	testenv.Cache(t)
	var log bytes.Buffer
	w := workspace.New(workspace.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	r := resolve(t, w, recipe, append(sets, "run.backend=go")...)
	err := CheckMemory(context.Background(), w, r)
	return log.String(), err
}

// huge is a Q-Former that no machine holds: its weights take petabytes.
const huge = "qformer.hidden_size=10000000"

func TestARunThatCannotFitIsRefused(t *testing.T) {
	_, err := checkedMemory(t, "tiny-stage1", huge)
	if adapters.KindOf(err) != adapters.Exhausted {
		t.Fatalf("a Q-Former of petabytes: %v", err)
	}
	said := err.Error() + adapters.RemedyOf(err)
	for _, want := range []string{"process [run]", " TB", " has ", "optimizer.batch below 64", "run.checkpointing = true", "run.ignore_memory = true"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in %q", want, said)
		}
	}
	log, err := checkedMemory(t, "tiny-stage1", huge, "run.ignore_memory=true")
	if err != nil || !strings.Contains(log, "level=WARN") || !strings.Contains(log, "process [run]") {
		t.Errorf("with run.ignore_memory: %v, log %q", err, log)
	}
}

func TestRemediesFitWhatIsLarge(t *testing.T) {
	w := workspace.New(workspace.Options{})
	part := func(certain bool) []memory.Part {
		return []memory.Part{{Bytes: 1e9, Certain: true}, {Bytes: 5e9, Certain: certain}}
	}
	for name, c := range map[string]struct {
		sets []string
		of   string
		held bool // weights are most of it
		want string
	}{
		"bridge":                 {nil, memory.Bridge, false, "raise optimizer.accumulate above 1 (micro-batches of 64 pictures), or set run.checkpointing = true"},
		"bridge, small":          {[]string{"optimizer.batch=2", "optimizer.accumulate=2", "run.checkpointing=true"}, memory.Bridge, false, "use a smaller model, or a machine with more memory"},
		"examples":               {[]string{"language.dtype=bfloat16", "optimizer.accumulate=4"}, memory.Language, false, "raise optimizer.accumulate above 4 (micro-batches of 16 pictures)"},
		"weights, Go":            {[]string{"run.backend=go"}, memory.Language, true, "use a smaller model, or a machine with more memory"},
		"work on a processor":    {[]string{"run.backend=xla:cpu"}, memory.Language, false, "raise optimizer.accumulate above 1 (micro-batches of 64 pictures)"},
		"weights":                {[]string{"run.backend=xla:cpu"}, memory.Language, true, "set language.dtype = \"bfloat16\", or use a smaller model, or a machine with more memory"},
		"weights of the encoder": {[]string{"vision.dtype=bfloat16"}, memory.Vision, true, "use a smaller model, or a machine with more memory"},
	} {
		r := resolve(t, w, "tiny-stage2-opt", c.sets...)
		use := MemoryUse{Processes: []memory.Process{{Name: c.of, Parts: part(c.held)}}}
		if got := remedy(r, use); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestRoomsSayWhatDoesNotFit(t *testing.T) {
	host := MemoryUse{Processes: []memory.Process{
		{Name: memory.Bridge, Parts: []memory.Part{{Holds: "weights and moments", Bytes: 2e9, Certain: true}}},
		{Name: memory.Language, Model: "opt-2.7b", Parts: []memory.Part{{Holds: "weights", Bytes: 6e9, Certain: true}, {Holds: "examples", Bytes: 2e9}}},
	}}
	card := MemoryUse{true, host.Processes}
	for name, c := range map[string]struct {
		room  room
		fatal bool
		says  []string // nothing fits without
	}{
		"enough":             {room{use: host, total: 20e9, free: 13e9, share: 1}, false, nil},
		"too little free":    {room{use: host, name: "the machine", total: 20e9, free: 11e9, share: 1}, false, []string{"[language] (8 GB, opt-2.7b)", "11 GB free, of 20 GB", "may not fit"}},
		"near the total":     {room{use: host, name: "the machine", total: 9e9, free: 9e9, share: 1}, false, []string{"10 GB", "9 GB free"}},
		"too little":         {room{use: host, name: "the machine", total: 7e9, free: 7e9, share: 1}, true, []string{"10 GB", "the machine has 7 GB"}},
		"a card, near":       {room{use: card, name: "GPU 0", total: 8.1e9 + 1, free: 8e9, share: 1}, false, []string{"GPU memory", "may not fit"}},
		"a card's share":     {room{use: card, name: "GPU 0", total: 80e9, free: 79e9, share: 0.1125, key: "run.gpu_memory"}, false, []string{"79 GB free, of 80 GB, of which it may take 9 GB (run.gpu_memory): it may not fit"}},
		"a card, too little": {room{use: card, name: "GPU 0", total: 16e9, free: 16e9, share: 0.4, key: "run.gpu_memory"}, true, []string{"GPU 0 has 16 GB", "6.4 GB (run.gpu_memory)"}},
	} {
		text, fatal := c.room.problem()
		if fatal != c.fatal || (text == "") != (c.says == nil) {
			t.Errorf("%s: %q, fatal %v", name, text, fatal)
		}
		for _, want := range c.says {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in %q", name, want, text)
			}
		}
	}
}

func TestProcessesShareCards(t *testing.T) {
	w := workspace.New(workspace.Options{})
	cards := []backends.Card{{Name: "A", Total: 24000, Free: 20000}, {Name: "B", Total: 48000, Free: 48000}}
	rooms := func(visible string, sets ...string) string {
		t.Setenv("CUDA_VISIBLE_DEVICES", visible)
		r := resolve(t, w, "tiny-stage2-opt", sets...)
		use := MemoryUse{OnGPU: true, Processes: []memory.Process{{Name: memory.Bridge}, {Name: memory.Vision}, {Name: memory.Language}}}
		var all []string
		for _, room := range cardRooms(r, use, cards) {
			names := ""
			for _, p := range room.use.Processes {
				names += "+" + p.Name
			}
			all = append(all, strings.TrimPrefix(names, "+")+" "+room.key+" "+room.name)
		}
		return strings.Join(all, "; ")
	}
	for name, c := range map[string]struct{ got, want string }{
		"one card": {rooms("0"), "run run.gpu_memory GPU 0 (A); vision vision.gpu_memory GPU 0 (A); language language.gpu_memory GPU 0 (A); run+vision+language  GPU 0 (A)"},
		"two cards": {rooms("0,1", `language.devices="1"`, "language.gpu_memory=0.5"),
			"run run.gpu_memory GPU 0 (A); vision vision.gpu_memory GPU 0 (A); language language.gpu_memory GPU 1 (B); run+vision  GPU 0 (A)"},
		"no card":         {rooms("7"), ""},
		"names of cards":  {rooms("GPU-1234"), ""},
		"no card is seen": {rooms(""), ""},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", name, c.got, c.want)
		}
	}
}
