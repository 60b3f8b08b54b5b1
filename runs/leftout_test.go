package runs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data"
	"github.com/modular-bridging/bridge/train"
)

// keptLists returns resources whose training list has n pictures, kept in a folder.
func keptLists(t *testing.T, dir string, n int) (res *resources, done func() error) {
	t.Helper()
	res = &resources{train: train.Set{LeftOut: &data.LeftOutList{}}, eval: train.Set{LeftOut: &data.LeftOutList{}}}
	var all []data.LeftOut
	for i := range n {
		all = append(all, data.LeftOut{Picture: fmt.Sprintf("#%d", i), Reason: "cut off"})
	}
	res.train.LeftOut.Restore(all)
	done, err := res.keepLeftOut(dir)
	if err != nil {
		t.Fatal(err)
	}
	return res, done
}

func leaveOut(t *testing.T, list *data.LeftOutList, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := list.Add(data.Record{ID: fmt.Sprintf("#%d", i)}, fmt.Sprintf("#%d", i), adapters.Errorf(adapters.Corrupt, "picture %d is cut off", i)); err != nil {
			t.Fatal(err)
		}
	}
}

func sameLists(t *testing.T, dir string, res *resources) {
	t.Helper()
	lists, err := readLeftOut(dir)
	if err != nil || !reflect.DeepEqual(lists[trainSplit], res.train.LeftOut.Unusable()) || len(lists[evalSplit]) != res.eval.LeftOut.Len() {
		t.Fatalf("the files have %d and %d pictures (%v), the run %d and %d", len(lists[trainSplit]), len(lists[evalSplit]), err, res.train.LeftOut.Len(), res.eval.LeftOut.Len())
	}
}

// To a long list, lines are added, and the files have it whole at any moment.
func TestLongListOfLeftOutPicturesIsAppendedTo(t *testing.T) {
	dir := t.TempDir()
	res, _ := keptLists(t, dir, 300)
	before, err := os.Stat(filepath.Join(dir, leftOutFile))
	if err != nil {
		t.Fatal(err)
	}
	for i := 300; i < 350; i++ {
		leaveOut(t, res.train.LeftOut, i, i+1)
		sameLists(t, dir, res)
	}
	leaveOut(t, res.eval.LeftOut, 0, 2)
	sameLists(t, dir, res)
	after, err := os.Stat(filepath.Join(dir, leftOutFile))
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the file was written anew for each picture (%v)", err)
	}

	// The run is killed in the middle of a line.
	tail, err := os.OpenFile(filepath.Join(dir, leftOutTail), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tail.WriteString(`{"set": "train", "pict`); err != nil || tail.Close() != nil {
		t.Fatal(err)
	}
	sameLists(t, dir, res)
	lists, err := readLeftOut(dir)
	if err != nil {
		t.Fatal(err)
	}
	again := &resources{train: train.Set{LeftOut: &data.LeftOutList{}}, eval: train.Set{LeftOut: &data.LeftOutList{}}}
	again.train.LeftOut.Expect(lists[trainSplit])
	again.eval.LeftOut.Restore(lists[evalSplit])
	done, err := again.keepLeftOut(dir)
	if err != nil {
		t.Fatal(err)
	}
	sameLists(t, dir, again)
	if _, err := os.Stat(filepath.Join(dir, leftOutTail)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the lines stay beside the whole list: %v", err)
	}

	// Pictures that the run expected are on the list already; others are added.
	if err := again.train.LeftOut.Add(data.Record{}, "#7", again.train.LeftOut.Expects("#7")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, leftOutTail)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a picture that was on the list is added: %v", err)
	}
	leaveOut(t, again.train.LeftOut, 350, 360)
	if err := done(); err != nil {
		t.Fatal(err)
	}
	sameLists(t, dir, again)
	if _, err := os.Stat(filepath.Join(dir, leftOutTail)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the lines stay after the run: %v", err)
	}
}

// A short list is one file at any moment, and none if nothing is left out.
func TestShortListOfLeftOutPicturesIsOneFile(t *testing.T) {
	dir := t.TempDir()
	res, done := keptLists(t, dir, 0)
	if _, err := os.Stat(filepath.Join(dir, leftOutFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a list of nothing: %v", err)
	}
	leaveOut(t, res.train.LeftOut, 0, 3)
	sameLists(t, dir, res)
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 || files[0].Name() != leftOutFile {
		t.Errorf("files %v (%v), want %s alone", files, err, leftOutFile)
	}
	if err := done(); err != nil {
		t.Fatal(err)
	}
}

// A line that is damaged in the middle of the file is no line that was being written.
func TestDamagedListOfLeftOutPicturesIsNamed(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, leftOutTail), []byte("{\"set\": \n{}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readLeftOut(dir); adapters.KindOf(err) != adapters.Corrupt {
		t.Errorf("a damaged line: %v, want an error of kind corrupt", err)
	}
}
