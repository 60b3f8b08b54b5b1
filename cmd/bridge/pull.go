package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/builtin"
	"github.com/modular-bridging/bridge/internal/hub"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/tokenizer"
)

func (p *program) pullCommand() *cli.Command {
	return &cli.Command{
		Name: "pull", Usage: "fetch a model from the Hugging Face hub", ArgsUsage: "ID",
		UsageText: "bridge models pull ID [--revision REV] [--files PATTERN]... [--json]",
		Description: "ID is a registry id, or a repository OWNER/NAME. The files go where Hugging Face's own tools keep them and are checked\n" +
			"against the hub's checksums; a pull that broke off goes on where it stopped. HF_HOME, HF_HUB_CACHE, HF_ENDPOINT,\n" +
			"HF_TOKEN and HF_HUB_OFFLINE mean what they mean there.\n\nExample: bridge models pull flant5-xl",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "revision", Usage: "branch, tag or commit `REV` (default: the manifest's)"},
			&cli.StringSliceFlag{Name: "files", Usage: "only files that match `PATTERN`; may be repeated (default: the manifest's)"},
			jsonFlag(),
		},
		Action: p.modelsPull,
	}
}

func (p *program) modelsPull(c *cli.Context) error {
	args, err := arguments(c, 1, 1)
	if err != nil {
		return err
	}
	reg, err := p.workspace.Registry()
	if err != nil {
		return err
	}
	m, err := toPull(reg, args[0])
	if err != nil {
		return err
	}
	if revision := c.String("revision"); revision != "" {
		m.Revision = revision
	}
	if files := c.StringSlice("files"); len(files) > 0 {
		m.Files = files
	}
	s, err := p.pull(c.Context, m)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return p.printJSON(map[string]any{"id": m.ID, "repository": m.Repository, "revision": s.Revision, "commit": s.Commit, "path": s.Dir})
	}
	fmt.Fprintln(p.stdout, s.Dir)
	if now, err := reg.Lookup(m.ID); err == nil && now.Path != s.Dir && now.Manifest.Repository == m.Repository {
		fmt.Fprintf(p.stderr, "%s stays %s; to use what was pulled: bridge models add %s --path %s\n", m.ID, weightsPlace(now), m.ID, s.Dir)
	}
	return nil
}

// toPull returns the manifest of what is to be fetched: an id's, or a bare one
// for a repository.
func toPull(reg *registry.Registry, id string) (registry.Manifest, error) {
	b, err := reg.Lookup(id)
	switch {
	case err != nil && strings.Count(id, "/") == 1 && !isDir(id):
		return registry.Manifest{ID: id, Repository: id}, nil
	case err != nil:
		return registry.Manifest{}, err
	case b.Source == registry.FromFolder:
		return registry.Manifest{}, adapters.Errorf(adapters.Invalid, "%s is a folder, want a registry id or OWNER/NAME", id)
	case b.Repository == "":
		return registry.Manifest{}, adapters.Errorf(adapters.Unsupported, "%s is the kit's: there is nothing to fetch", id)
	}
	return b.Manifest, nil
}

// pull fetches with progress on stderr.
func (p *program) pull(ctx context.Context, m registry.Manifest) (hub.Snapshot, error) {
	bar, client := newFetching(p.stderr), hub.FromEnvironment()
	answered := notifyIfSlow(p.stderr, 2*time.Second, fmt.Sprintf("waiting for %s to answer", cmp.Or(client.Endpoint, hub.DefaultEndpoint)))
	defer answered()
	s, err := client.Pull(ctx, hub.Request{
		Repository: m.Repository, Revision: m.Revision, Patterns: m.Patterns(), Progress: bar.step,
		Planned: func(plan hub.Plan) {
			answered()
			fmt.Fprintf(p.stderr, "%s at %s (%.12s): %d files of %s, %s to fetch\n", plan.Repository, plan.Revision, plan.Commit, len(plan.Files),
				registry.Size(plan.Total), registry.Size(plan.Missing))
			if plan.Revision != m.Revision && strings.HasPrefix(plan.Revision, "refs/pr/") {
				fmt.Fprintf(p.stderr, "the repository itself has no safetensors: they are those of %s, which the hub's conversion service made\n", plan.Revision)
			}
			if m.Kind == adapters.KindLanguage && !hasTokenizer(plan.Files, m.Family) {
				fmt.Fprintf(p.stderr, "%s has no tokenizer.json, without which the model does not open; where the files are fetched, write it with transformers: "+
					"AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)\n", plan.Repository)
			}
		},
	})
	bar.end()
	return s, err
}

// notifyIfSlow writes a message where done is not called for a while. After done
// nothing is written.
func notifyIfSlow(w io.Writer, while time.Duration, message string) (done func()) {
	var mu sync.Mutex
	over := false
	timer := time.AfterFunc(while, func() {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			fmt.Fprintln(w, message)
		}
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		over = true
		timer.Stop()
	}
}

// hasTokenizer reports whether bridge finds a tokenizer of a family among files.
func hasTokenizer(files []hub.File, family string) bool {
	var names []string
	for _, f := range files {
		names = append(names, f.Path)
	}
	var defaults adapters.TokenizerDefaults
	for _, f := range builtin.Families() {
		if f.Name == family {
			defaults = f.TokenizerFor("")
		}
	}
	return tokenizer.Readable(names, defaults)
}

// fetching shows how far a download is.
type fetching struct {
	w        io.Writer
	mu       sync.Mutex
	terminal bool
	every    time.Duration
	began    time.Time // of what was fetched in this process
	first    int64     // bytes that were there then
	shown    time.Time
	open     bool // a line on the terminal is not ended
}

func newFetching(w io.Writer) *fetching {
	f := &fetching{w: w, every: 10 * time.Second}
	if file, ok := w.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		f.terminal, f.every = true, 200*time.Millisecond
	}
	return f
}

// step shows the state, not more often than people can read it.
func (f *fetching) step(done, total int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if f.began.IsZero() {
		f.began, f.first, f.shown = now, done, now
	}
	if now.Sub(f.shown) < f.every && done < total {
		return
	}
	f.shown = now
	line := f.line(done, total, now.Sub(f.began))
	if f.terminal {
		fmt.Fprint(f.w, "\r\x1b[K"+line)
		f.open = true
		return
	}
	fmt.Fprintln(f.w, line)
}

func (f *fetching) line(done, total int64, spent time.Duration) string {
	text := fmt.Sprintf("%s of %s", registry.Size(done), registry.Size(total))
	if rate := float64(done-f.first) / max(spent.Seconds(), 1e-3); rate > 0 && spent > time.Second/2 {
		left := time.Duration(float64(total-done) / rate * float64(time.Second))
		text += fmt.Sprintf(", %s/s, %s left", registry.Size(int64(rate)), recipes.Duration(left))
	}
	return text
}

func (f *fetching) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open {
		fmt.Fprintln(f.w)
	}
}
