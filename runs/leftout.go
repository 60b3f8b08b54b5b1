package runs

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/internal/atomicfile"
	"github.com/modular-bridging/bridge/internal/diskfull"
	"github.com/modular-bridging/bridge/internal/wholelines"
)

// The files of a run folder that list the pictures and records which the run leaves out. They are
// written before the step that replaces a picture is applied.
const (
	leftOutFile = "left-out.json"
	// leftOutTail has a line for each picture that was left out since leftOutFile was written. It
	// is there only while a run with a long list trains, or if such a run was killed.
	leftOutTail = "left-out.jsonl"
)

// leftOutLine is a line of leftOutTail.
type leftOutLine struct {
	Set split `json:"set"`
	data.LeftOut
}

// readLeftOut returns the pictures that a run leaves out.
func readLeftOut(dir string) (map[split][]data.LeftOut, error) {
	var lists map[split][]data.LeftOut
	path := filepath.Join(dir, leftOutFile)
	text, err := os.ReadFile(path)
	switch {
	case err == nil:
		if err := json.Unmarshal(text, &lists); err != nil {
			return nil, damaged(path, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	tail, err := readLeftOutTail(filepath.Join(dir, leftOutTail))
	if err != nil || len(tail) == 0 {
		return lists, err
	}
	seen := map[split]map[string]bool{}
	for which, list := range lists {
		seen[which] = names(list)
	}
	if lists == nil {
		lists = map[split][]data.LeftOut{}
	}
	for _, line := range tail { // lines of before leftOutFile was written stay if the run was killed then
		if !seen[line.Set][line.Picture] {
			lists[line.Set] = append(lists[line.Set], line.LeftOut)
		}
	}
	return lists, nil
}

func names(list []data.LeftOut) map[string]bool {
	all := make(map[string]bool, len(list))
	for _, l := range list {
		all[l.Picture] = true
	}
	return all
}

// readLeftOutTail reads the lines of a file that may be missing. A last line without its end was
// being written when the run was killed, and is no line.
func readLeftOutTail(path string) (lines []leftOutLine, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for text, err := range wholelines.Of(f) {
		var line leftOutLine
		if err == nil {
			err = json.Unmarshal(text, &line)
		}
		if err != nil {
			return nil, damaged(path, err)
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// leftOutKeeper keeps a run's lists of what it leaves out in the run's folder. A short list is
// written whole for each picture that is added. That takes time that grows with the square of the
// length, so to a long list a line is added, until it has doubled or the run ends.
type leftOutKeeper struct {
	dir         string
	train, eval *data.LeftOutList

	mu    sync.Mutex
	kept  map[split]map[string]bool // names in the files
	whole int                       // how many of them leftOutFile has
	tail  *os.File                  // nil if there is none
}

// shortList is the length up to which a list is written whole each time.
const shortList = 256

// keepLeftOut writes the pictures that are left out to a run folder, now, each time that one is
// added, and when the caller calls done.
func (res *resources) keepLeftOut(dir string) (done func() error, err error) {
	k := &leftOutKeeper{dir: dir, train: res.train.LeftOut, eval: res.eval.LeftOut}
	k.train.Changed = func(added data.LeftOut) error { return k.add(trainSplit, added) }
	k.eval.Changed = func(added data.LeftOut) error { return k.add(evalSplit, added) }
	return k.done, k.writeAll()
}

// add writes a picture that was added to a list.
func (k *leftOutKeeper) add(which split, added data.LeftOut) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept[which][added.Picture] { // the run expected it
		return nil
	}
	if n := len(k.kept[trainSplit]) + len(k.kept[evalSplit]) + 1; n <= shortList || n >= 2*k.whole {
		return k.writeAll()
	}
	k.kept[which][added.Picture] = true
	return k.append(leftOutLine{which, added})
}

// append adds a line to leftOutTail.
func (k *leftOutKeeper) append(line leftOutLine) error {
	text, err := json.Marshal(line)
	if err == nil && k.tail == nil {
		k.tail, err = os.OpenFile(filepath.Join(k.dir, leftOutTail), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	}
	if err == nil {
		_, err = k.tail.Write(append(text, '\n'))
	}
	if err == nil {
		err = k.tail.Sync()
	}
	return diskfull.Explain(err, "the list of what the run leaves out cannot be written", "free disk space")
}

// writeAll writes leftOutFile, and removes leftOutTail. It removes both if nothing is left out.
func (k *leftOutKeeper) writeAll() error {
	lists := map[split][]data.LeftOut{trainSplit: k.train.Unusable(), evalSplit: k.eval.All()}
	k.kept = map[split]map[string]bool{trainSplit: names(lists[trainSplit]), evalSplit: names(lists[evalSplit])}
	k.whole = len(lists[trainSplit]) + len(lists[evalSplit])
	path := filepath.Join(k.dir, leftOutFile)
	if k.whole == 0 {
		return errors.Join(atomicfile.Remove(path), k.removeTail())
	}
	if err := writeJSON(path, lists); err != nil {
		return err
	}
	return k.removeTail()
}

func (k *leftOutKeeper) removeTail() error {
	var err error
	if k.tail != nil {
		err, k.tail = k.tail.Close(), nil
	}
	return errors.Join(err, atomicfile.Remove(filepath.Join(k.dir, leftOutTail)))
}

// done writes the lists whole if lines were added since.
func (k *leftOutKeeper) done() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.tail == nil {
		return nil
	}
	return k.writeAll()
}
