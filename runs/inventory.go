package runs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/internal/atomicfile"
)

// split names one of a run's two data sets.
type split string

const (
	trainSplit split = "train"
	evalSplit  split = "eval"
)

// entriesFile returns the name of the file of a run folder that has a line for each row of a data
// set in files.
func entriesFile(which split) string { return "data-" + string(which) + ".jsonl" }

// readInventory returns what a run found in a data set. It is nil if dir is empty, or if the run
// recorded nothing: its data is the kit's, or an older version of bridge started it.
func readInventory(dir string, which split) (*data.Inventory, error) {
	if dir == "" {
		return nil, nil
	}
	path := filepath.Join(dir, entriesFile(which))
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var was data.Inventory
	if was.Entries, err = data.ReadEntries(f); err != nil {
		return nil, damaged(path, err)
	}
	lists, err := readLeftOut(dir)
	was.LeftOut = lists[which]
	return &was, err
}

func damaged(path string, err error) error {
	return adapters.Errorf(adapters.Corrupt, "%s cannot be read: %w", path, err).
		WithRemedy("bring the file back from a copy of the run, or start a new run with --out")
}

// writeEntries writes the lines of the data sets that are in files.
func (res *resources) writeEntries(dir string) error {
	for which, d := range res.whole {
		if sources, ok := d.(*data.Sources); ok {
			if err := writeJSON(filepath.Join(dir, sourcesFile(which)), sources.Describe()); err != nil {
				return fmt.Errorf("record the data: %w", err)
			}
			continue
		}
		items, ok := d.(data.Itemized)
		if !ok {
			continue
		}
		err := atomicfile.Write(filepath.Join(dir, entriesFile(which)), func(w io.Writer) error {
			return data.WriteEntries(w, items.Entries())
		})
		if err != nil {
			return fmt.Errorf("record the data: %w", err)
		}
	}
	return nil
}

// inventory returns the data set's rows and the pictures that are left out of it, so that it can
// be opened at another picture size with the same rows. It is nil for the kit's data.
func (res *resources) inventory(which split, list *data.LeftOutList) *data.Inventory {
	items, ok := res.whole[which].(data.Itemized)
	if !ok {
		return nil
	}
	return &data.Inventory{Entries: items.Entries(), LeftOut: list.Unusable()}
}
