package runs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/plugins/lockfile"
	"github.com/modular-bridging/bridge/plugins/store"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/workspace"
)

// reuse checks whether finished runs can be used again: whether the models and the data of their
// recipes are still those that they used. The runs of a matrix share plugins and data sets. reuse
// reads each once and keeps the results, until [reuse.forget].
type reuse struct {
	workspace  *workspace.Workspace
	openSource func(context.Context, *workspace.Workspace, recipes.Source, recipes.Data, adapters.ImageSpec, *data.Inventory) (data.Dataset, []error, error)
	readPlugin func(path string) (store.Snapshot, error)

	sets    map[[sha256.Size]byte]error // results of checkSource
	plugins map[string]plugin           // by path
}

// plugin is a result of reading a plugin's files.
type plugin struct {
	files store.Snapshot
	err   error
}

func newReuse(w *workspace.Workspace) *reuse {
	u := &reuse{workspace: w, openSource: OpenSource, readPlugin: registry.ReadPlugin}
	u.forget()
	return u
}

// forget drops the results, because files may have changed since: a training takes long.
func (u *reuse) forget() {
	u.sets, u.plugins = map[[sha256.Size]byte]error{}, map[string]plugin{}
}

// check returns an error if the finished run in dir used other models or other data than its recipe
// would use now.
func (u *reuse) check(ctx context.Context, r *recipes.Resolved, dir string) error {
	if err := u.checkModels(ctx, r, dir); err != nil {
		return err
	}
	if err := u.checkWords(ctx, r, dir); err != nil {
		return err
	}
	return u.checkData(ctx, r, dir)
}

// checkWords returns an error if a finished run has other words than its recipe's list has now.
func (u *reuse) checkWords(ctx context.Context, r *recipes.Resolved, dir string) error {
	if r.Projection.List == "" {
		return nil
	}
	info, err := u.workspace.BridgeInfo(ctx, dir)
	if err != nil {
		return err
	}
	if err := checkList(r.Projection, info.Words); err != nil {
		return adapters.Errorf(adapters.KindOf(err), "the run in %s cannot be used again: %w", dir, err)
	}
	return nil
}

// checkModels returns an error if a finished run used other models than its recipe would use
// now. If they are not on this machine, there is nothing to compare.
func (u *reuse) checkModels(ctx context.Context, r *recipes.Resolved, dir string) error {
	recorded, err := lockfile.ReadProject(filepath.Join(dir, lockfile.Name))
	if err != nil || recorded.Vision.ID == "" {
		return err
	}
	now, found, err := u.presentLock(ctx, r)
	if err != nil || !found {
		return err
	}
	return recorded.CheckPresent(now)
}

// presentLock returns the lock that a run of a recipe would have now, as far as files determine
// it. found is false if a model or a plugin is not on this machine.
func (u *reuse) presentLock(ctx context.Context, r *recipes.Resolved) (l lockfile.Lock, found bool, err error) {
	if l.Vision, found, err = r.VisionModel.PresentEntry(r.Vision.Plugin, u.plugin); err != nil || !found {
		return l, found, err
	}
	if r.LanguageModel != nil {
		language, found, err := r.LanguageModel.PresentEntry(r.Language.Plugin, u.plugin)
		if err != nil || !found {
			return l, found, err
		}
		l.Language = &language
	}
	l.Start, err = startDigest(ctx, u.workspace, r)
	return l, true, err
}

// plugin reads the files of a plugin once.
func (u *reuse) plugin(path string) (store.Snapshot, error) {
	p, ok := u.plugins[path]
	if !ok {
		p.files, p.err = u.readPlugin(path)
		u.plugins[path] = p
	}
	return p.files, p.err
}

// checkData returns an error if the data of a finished run differs from what it is now.
func (u *reuse) checkData(ctx context.Context, r *recipes.Resolved, dir string) error {
	for which, source := range map[split]recipes.Source{trainSplit: r.Data.Train, evalSplit: r.Data.Eval} {
		if source.ID != "" {
			continue // the kit's data is part of bridge
		}
		if source.Lazy() {
			if err := sameSources(ctx, u.workspace, dir, which, source, r.Data); err != nil {
				return err
			}
			continue
		}
		was, err := readInventory(dir, which)
		if err != nil {
			return err
		}
		if was == nil {
			u.workspace.Log().Warn("an older version of bridge trained this run and did not record the content of its data; it is used because its recipe is the same",
				"run", dir, "data", which)
			continue
		}
		if err := u.checkSource(ctx, dir, source, r.Data, was); err != nil {
			return adapters.Errorf(adapters.KindOf(err), "the run in %s cannot be used again: %w", dir, err)
		}
	}
	return nil
}

// checkSource opens a data set with the rows of the run in dir, once for all runs with the same rows. It
// returns an error if an entry differs, or if a picture cannot be read any more.
func (u *reuse) checkSource(ctx context.Context, dir string, source recipes.Source, table recipes.Data, was *data.Inventory) error {
	key, err := sourceKey(source, table, was)
	if err != nil {
		return err
	}
	result, ok := u.sets[key]
	if !ok {
		d, broken, err := u.openSource(ctx, u.workspace, source, table, adapters.ImageSpec{}, was)
		if err == nil {
			err = stillReadable(d, broken, dir)
		}
		result = err
		u.sets[key] = result
	}
	return result
}

// sourceKey identifies a data set's files, their preparation, and what a run found in them.
func sourceKey(source recipes.Source, table recipes.Data, was *data.Inventory) (key [sha256.Size]byte, err error) {
	var text bytes.Buffer
	fmt.Fprintf(&text, "%q\n", fmt.Sprintf("%+v %+v", source, files(source, table)))
	if err := data.WriteEntries(&text, was.Entries); err != nil {
		return key, err
	}
	err = json.NewEncoder(&text).Encode(was.LeftOut)
	return sha256.Sum256(text.Bytes()), err
}
