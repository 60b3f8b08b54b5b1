package backends

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/cachedir"
	"github.com/modular-bridging/bridge/internal/writable"
	"github.com/modular-bridging/bridge/internal/xlaflags"
)

// XLACachesVariable is the environment variable that selects XLA's own caches on disk: "autotune", the
// default, "all", which adds compiled kernels, or "off".
const XLACachesVariable = "BRIDGE_XLA_CACHES"

// The values of [XLACachesVariable].
const (
	cachesOff      = "off"
	cachesAutotune = "autotune"
	cachesAll      = "all"
)

// XLACaches describes XLA's own caches on disk for a plugin. The zero value has none.
type XLACaches struct {
	Folder  string   // of the plugin's caches, which nothing else uses
	Flags   []string // what bridge adds to XLA_FLAGS for them
	LeftOut []string // caches that are not used, each with the reason
}

// String describes the caches in a line, for people.
func (c XLACaches) String() string {
	parts := c.Flags
	if len(c.LeftOut) > 0 {
		parts = append(slices.Clone(parts), "left out: "+strings.Join(c.LeftOut, "; "))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, " ")
}

// xlaCache is one of XLA's caches.
type xlaCache struct {
	name   string
	flags  []string
	lacks  string // a reason why it cannot be used; empty if there is none
	folder string // which must exist
}

// asker says for each cache whether the plugin knows its flags.
type asker func(t xlaflags.Trial, caches []xlaCache) ([]xlaflags.Answer, error)

// DescribeXLACaches returns the caches of a plugin, as far as earlier processes have found out what it
// knows. It loads and writes nothing.
func DescribeXLACaches(p Plugin) (XLACaches, error) {
	return xlaCaches(p, func(t xlaflags.Trial, caches []xlaCache) ([]xlaflags.Answer, error) {
		answers := make([]xlaflags.Answer, len(caches))
		for i, kept := range t.Kept(flagGroups(caches)) {
			answers[i].Why = "not tried yet; the first use of the plugin tries it"
			if kept != nil {
				answers[i] = *kept
			}
		}
		return answers, nil
	})
}

// applied has the caches of the plugin that this process has loaded last.
var applied atomic.Pointer[XLACaches]

// LogXLACaches logs, for debugging, the flags and the left out caches of the plugin that this process has
// loaded last.
func LogXLACaches(log *slog.Logger) {
	caches := applied.Load()
	if caches == nil {
		return
	}
	if len(caches.Flags) > 0 {
		log.Debug("flags for XLA's caches", "flags", strings.Join(caches.Flags, " "))
	}
	for _, left := range caches.LeftOut {
		log.Debug("a cache of XLA is not used", "cache", left)
	}
}

// setXLAFlags sets XLA_FLAGS for a plugin, before it is loaded. A cache that cannot be used is left out.
func setXLAFlags(p Plugin) error {
	caches, err := xlaCaches(p, func(t xlaflags.Trial, caches []xlaCache) ([]xlaflags.Answer, error) {
		for _, c := range caches {
			if err := prepareFolder(c.folder); err != nil {
				return nil, err
			}
		}
		return t.Ask(context.Background(), flagGroups(caches))
	})
	if err != nil {
		return err
	}
	applied.Store(&caches)
	return xlaflags.Set(caches.Flags)
}

// prepareFolder makes a folder and checks that this process can write to it. In a sandbox only writing
// shows that.
func prepareFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".writable-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func flagGroups(caches []xlaCache) [][]string {
	groups := make([][]string, len(caches))
	for i, c := range caches {
		groups[i] = c.flags
	}
	return groups
}

// xlaCaches returns the caches of a plugin.
func xlaCaches(p Plugin, ask asker) (XLACaches, error) {
	if p.Kind != "cuda" {
		return XLACaches{}, nil // XLA for the CPU keeps nothing
	}
	wanted, err := selectedCaches()
	if err != nil {
		return XLACaches{}, err
	}
	if wanted == cachesOff {
		return XLACaches{LeftOut: []string{"all: " + XLACachesVariable + " is " + cachesOff}}, nil
	}
	id, err := xlaflags.Identity(p.Path)
	if err != nil {
		return XLACaches{}, err
	}
	dir := cachedir.Dir()
	if dir == "" {
		return XLACaches{LeftOut: []string{"all: the user has no cache folder; set " + cachedir.Variable + " to one"}}, nil
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return XLACaches{}, err
	}
	trial := xlaflags.Trial{Plugin: p.Path, Folder: filepath.Join(dir, "xla", id)}
	return usable(trial, cachesIn(trial.Folder, wanted == cachesAll), xlaflags.User(), ask), nil
}

func selectedCaches() (string, error) {
	switch value := os.Getenv(XLACachesVariable); value {
	case "", cachesAutotune:
		return cachesAutotune, nil
	case cachesAll, cachesOff:
		return value, nil
	default:
		return "", adapters.Errorf(adapters.Invalid, "%s is %q, want %s, %s or %s", XLACachesVariable, value, cachesAutotune, cachesAll, cachesOff)
	}
}

// cachesIn returns XLA's caches below a folder.
//
// autotune keeps which of several kernels is fastest, a file for each fusion. Its keys name the model
// of the card.
//
// kernels keeps compiled kernels in one file. Its keys do not name the card, so the file's name does.
// It is off by default, as in JAX: XLA links cached kernels, and a graph is not compiled if that fails.
func cachesIn(folder string, kernels bool) []xlaCache {
	caches := []xlaCache{{name: cachesAutotune, folder: filepath.Join(folder, "autotune")}}
	caches[0].flags = []string{"--xla_gpu_per_fusion_autotune_cache_dir=" + caches[0].folder}
	if !kernels {
		return caches
	}
	cards, lacks := cardsKey(procCards())
	return append(caches, xlaCache{
		name: "kernels", lacks: lacks, folder: filepath.Join(folder, "kernels"),
		flags: []string{"--xla_gpu_kernel_cache_file=" + filepath.Join(folder, "kernels", cards)},
	})
}

// usable returns the caches that XLA can use: their folders can be written, the user's flags do not have
// theirs, and the plugin knows them.
func usable(trial xlaflags.Trial, caches []xlaCache, user string, ask asker) XLACaches {
	found := XLACaches{Folder: trial.Folder}
	caches = slices.DeleteFunc(caches, func(c xlaCache) bool {
		lacks := c.check(user)
		if lacks != "" {
			found.LeftOut = append(found.LeftOut, c.name+": "+lacks)
		}
		return lacks != ""
	})
	answers, err := ask(trial, caches)
	for i, c := range caches {
		switch {
		case err != nil:
			found.LeftOut = append(found.LeftOut, c.name+": "+err.Error())
		case !answers[i].Works:
			found.LeftOut = append(found.LeftOut, c.name+": "+answers[i].Why)
		default:
			found.Flags = append(found.Flags, c.flags...)
		}
	}
	return found
}

// check returns a reason why a cache cannot be used, or "". An XLA that cannot write to the folder of
// its cache compiles nothing.
func (c xlaCache) check(user string) string {
	if c.lacks != "" {
		return c.lacks
	}
	if clash := xlaflags.Clash(user, c.flags); clash != "" {
		return clash
	}
	if strings.ContainsAny(c.folder, " \t\n\"'\\") {
		return "XLA cannot read the folder's name " + c.folder + "; set " + cachedir.Variable + " to one without spaces"
	}
	if err := writable.Explain(writable.Check(c.folder), c.folder, cachedir.Variable); err != nil {
		return err.Error()
	}
	return ""
}

// cardsKey returns a name for what kernels are compiled for: the models of the cards that a process
// sees. It returns a reason if they are not known.
func cardsKey(models []string) (key, lacks string) {
	if len(models) == 0 {
		return "", "the driver does not name the cards' models"
	}
	sum := sha256.Sum256([]byte(strings.Join(append(models, os.Getenv("CUDA_VISIBLE_DEVICES")), "\x00")))
	return hex.EncodeToString(sum[:8]), ""
}

// procCards returns the models of the cards as NVIDIA's driver names them in /proc.
func procCards() (models []string) {
	files, err := filepath.Glob("/proc/driver/nvidia/gpus/*/information")
	if err != nil {
		return nil
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if found := regexp.MustCompile(`(?m)^Model:\s*(.+)$`).FindSubmatch(text); found != nil {
			models = append(models, string(found[1]))
		}
	}
	return models
}
