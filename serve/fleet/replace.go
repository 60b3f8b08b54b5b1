package fleet

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"
)

// Replace opens the bridge of a name anew and puts it in the place of the one that is open, which
// is closed when its last lease ends. After an error the old one stays.
func (f *Fleet) Replace(ctx context.Context, name string) error {
	if err := f.beginOpening(ctx); err != nil {
		return err
	}
	defer f.endOpening()
	l, err := f.load(ctx, name)
	if err != nil {
		return err
	}
	l.Release()
	return nil
}

// Watch looks at the files of the open bridges every so often until ctx ends, and replaces those
// whose files have changed. Files that are still being written are left alone until they stay the
// same for one interval.
func (f *Fleet) Watch(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	seen := map[string]string{} // the stamps of the last look
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f.look(ctx, seen)
		}
	}
}

// Refresh opens all bridges that are not open, and opens those anew whose entries or files have
// changed. It returns the errors of those that cannot be opened; an old bridge stays in use then.
func (f *Fleet) Refresh(ctx context.Context) map[string]error {
	failed := map[string]error{}
	for _, e := range f.openEntries() {
		if now := f.stampOf(ctx, e.Entry); now != e.stamp {
			if err := f.Replace(ctx, e.Name); err != nil {
				failed[e.Name] = err
			}
		}
	}
	for name, err := range f.Load(ctx) {
		failed[name] = err
	}
	return failed
}

// look replaces the bridges whose files have changed, and are as they were at the last look.
func (f *Fleet) look(ctx context.Context, seen map[string]string) {
	for _, e := range f.openEntries() {
		now := f.stampOf(ctx, e.Entry)
		settled := seen[e.Name] == now
		seen[e.Name] = now
		if now == e.stamp || now == "" || !settled {
			continue
		}
		f.options.Log.Info("the files of a bridge have changed; opening it again", "model", e.Name)
		if err := f.Replace(ctx, e.Name); err != nil {
			f.options.Log.Error("cannot open the changed bridge; the old one stays", "model", e.Name, "error", err)
			f.restamp(e.Name, now)
		}
	}
}

// openEntries returns copies of the entries whose bridges are open.
func (f *Fleet) openEntries() []entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	var open []entry
	for _, e := range f.entries {
		if e.open != nil {
			open = append(open, *e)
		}
	}
	return open
}

// restamp records the files of a bridge that could not be opened, so that it is not tried again
// before they change.
func (f *Fleet) restamp(name, stamp string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.find(name); e != nil {
		e.stamp = stamp
	}
}

// stampOf returns a text that changes when the files of a bridge do. It is empty for one whose
// folder cannot be read.
func (f *Fleet) stampOf(ctx context.Context, e Entry) string {
	if strings.HasPrefix(e.Model, "kit:") { // the binary carries it
		return e.Model
	}
	dir, err := f.options.Workspace.BridgeDir(ctx, e.Model)
	if err != nil {
		return ""
	}
	var b strings.Builder
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			fmt.Fprintf(&b, "%s %d %d\n", path, info.Size(), info.ModTime().UnixNano())
		}
		return err
	})
	if err != nil {
		return ""
	}
	return b.String()
}
