package metrics

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/testenv"
)

// testdata/reference.tfevents was written by TensorBoard's own code
// (tools/reference/events.py).
func TestEventsEqualTensorBoard(t *testing.T) {
	want, err := os.ReadFile("testdata/reference.tfevents")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "events")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	e := &eventFile{file: file}
	if err := e.head(time.Unix(1, 500_000_000)); err != nil {
		t.Fatal(err)
	}
	if err := e.write(300, time.Unix(1_700_000_000, 250_000_000), map[string]float64{"é/rate": 1e-4, "loss": 2.5}); err != nil {
		t.Fatal(err)
	}
	if err := e.restart(301, time.Unix(1_700_000_001, 0)); err != nil {
		t.Fatal(err)
	}
	if err := e.close(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

func mustOpen(t *testing.T, dir string) *Writer {
	t.Helper()
	w, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func mustWrite(t *testing.T, w *Writer, steps ...int) {
	t.Helper()
	for _, step := range steps {
		values := map[string]float64{"loss": 1 / float64(step), "lr": 1e-4}
		if err := w.Write(step, time.Duration(step)*1500*time.Millisecond, values); err != nil {
			t.Fatal(err)
		}
	}
}

func mustHold(t *testing.T, dir string, want ...string) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(dir, File))
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(want, "\n") + "\n"; string(got) != text {
		t.Errorf("the file holds\n%s, want\n%s", got, text)
	}
}

const (
	line1 = `{"loss":1,"lr":0.0001,"seconds":1.5,"step":1}`
	line2 = `{"loss":0.5,"lr":0.0001,"seconds":3,"step":2}`
	line4 = `{"loss":0.25,"lr":0.0001,"seconds":6,"step":4}`
)

func TestResumedRunHasEveryStepOnce(t *testing.T) {
	mustResume(t, t.TempDir())
}

// mustResume writes steps 1 to 4, is killed, and goes on after 2 with 4.
func mustResume(t *testing.T, dir string) {
	t.Helper()
	w := mustOpen(t, dir)
	mustWrite(t, w, 1, 2, 3, 4)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	// The process was killed while it wrote a line.
	f, err := os.OpenFile(filepath.Join(dir, File), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"loss":0.2,"ste`); err != nil {
		t.Fatal(err)
	}
	f.Close()

	w = mustOpen(t, dir)
	if err := w.Truncate(2); err != nil {
		t.Fatal(err)
	}
	mustHold(t, dir, line1, line2)
	mustWrite(t, w, 4)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	mustHold(t, dir, line1, line2, line4)
}

// What is measured again at the last step goes, what was measured else stays.
func TestTruncateDropsWhatIsMeasuredAgain(t *testing.T) {
	dir := t.TempDir()
	w := mustOpen(t, dir)
	for _, line := range []struct {
		step int
		name string
	}{{1, "held_out/loss"}, {2, "train/loss"}, {2, "held_out/loss"}, {3, "train/loss"}} {
		if err := w.Write(line.step, 0, map[string]float64{line.name: 0.5}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Truncate(2, "held_out/"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	mustHold(t, dir, `{"held_out/loss":0.5,"seconds":0,"step":1}`, `{"seconds":0,"step":2,"train/loss":0.5}`)
}

// TensorBoard shows steps 1, 2 and 4 and not the 3 and the 4 that were lost.
func TestTensorBoardShowsEveryStepOnce(t *testing.T) {
	python := os.Getenv("BRIDGE_TENSORBOARD_PYTHON")
	if python == "" {
		testenv.Lacking(t, "TensorBoard", errors.New("BRIDGE_TENSORBOARD_PYTHON names no Python that has it"))
	}
	dir := t.TempDir()
	mustResume(t, dir)
	out, err := exec.Command(python, "../../tools/reference/events.py", "read", filepath.Join(dir, "events")).Output()
	if err != nil {
		t.Fatal(err)
	}
	var got map[string][][2]float64
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if want := [][2]float64{{1, 1}, {2, 0.5}, {4, 0.25}}; !reflect.DeepEqual(got["loss"], want) || len(got) != 2 {
		t.Errorf("TensorBoard shows %v, want loss %v and lr", got, want)
	}
}

func TestTruncateToTheBeginning(t *testing.T) {
	dir := t.TempDir()
	w := mustOpen(t, dir)
	defer w.Close()
	mustWrite(t, w, 3, 4)
	if err := w.Truncate(-1); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, w, 1)
	mustHold(t, dir, line1)
}

func TestNumbersThatJSONLacks(t *testing.T) {
	dir := t.TempDir()
	w := mustOpen(t, dir)
	defer w.Close()
	values := map[string]float64{"a": math.NaN(), "b": math.Inf(-1)}
	if err := w.Write(1, 0, values); err != nil {
		t.Fatal(err)
	}
	mustHold(t, dir, `{"a":"NaN","b":"-Inf","seconds":0,"step":1}`)
}

func TestOpenSaysWhatIsInTheWay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want an error that names %s", err, path)
	}
}

func TestFullDisk(t *testing.T) {
	dir := testenv.SmallDisk(t)
	w := mustOpen(t, dir)
	defer w.Close()
	mustWrite(t, w, 1)
	if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 1<<20), 0o644); err == nil {
		t.Fatal("the disk is not full")
	}
	mustSayFull := func(err error) {
		t.Helper()
		if adapters.KindOf(err) != adapters.Exhausted || strings.Count(fmt.Sprint(err), "(free disk space)") != 1 {
			t.Errorf("got %v of kind %v, want exhausted with one remedy", err, adapters.KindOf(err))
		}
	}
	var err error
	for step := 2; err == nil && step < 1000; step++ { // the last page has room for some
		err = w.Write(step, 0, map[string]float64{"loss": 1})
	}
	mustSayFull(err)
	_, err = Open(dir) // another event file
	mustSayFull(err)
}
