package metrics

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// scalars reads the values of an event file, by step and name.
func scalars(t *testing.T, path string) map[uint64]map[string]float32 {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := map[uint64]map[string]float32{}
	for len(data) > 0 {
		n := int(binary.LittleEndian.Uint64(data))
		event := fields(t, data[12:12+n])
		data = data[16+n:]
		step := uint64(0)
		if e := event[eventStep]; len(e) > 0 {
			step, _ = protowire.ConsumeVarint(e[0])
		}
		for _, summary := range event[eventSummary] {
			for _, value := range fields(t, summary)[summaryValue] {
				v := fields(t, value)
				bits, _ := protowire.ConsumeFixed32(v[valueSimple][0])
				if found[step] == nil {
					found[step] = map[string]float32{}
				}
				found[step][string(v[valueTag][0])] = math.Float32frombits(bits)
			}
		}
	}
	return found
}

// fields splits a message into its fields, bytes without their length.
func fields(t *testing.T, message []byte) map[protowire.Number][][]byte {
	t.Helper()
	all := map[protowire.Number][][]byte{}
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			t.Fatalf("no tag in %x", message)
		}
		message = message[n:]
		size := protowire.ConsumeFieldValue(number, kind, message)
		if size < 0 {
			t.Fatalf("no value in %x", message)
		}
		value := message[:size]
		if kind == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(value)
		}
		all[number], message = append(all[number], value), message[size:]
	}
	return all
}

// A writer that fed the JSON lines alone would leave TensorBoard empty.
func TestWriterFeedsTensorBoard(t *testing.T) {
	dir := t.TempDir()
	w := mustOpen(t, dir)
	for step, values := range []map[string]float64{{"held_out/loss": 4}, {"stage-1/loss": 2.5, "stage-1/itc": 0.5}, {"stage-1/loss": 1.25, "stage-1/itc": -1}} {
		if err := w.Write(step, time.Second, values); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "events", "events.out.tfevents.*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("event files %v: %v", files, err)
	}
	want := map[uint64]map[string]float32{
		0: {"held_out/loss": 4}, 1: {"stage-1/loss": 2.5, "stage-1/itc": 0.5}, 2: {"stage-1/loss": 1.25, "stage-1/itc": -1},
	}
	if got := scalars(t, files[0]); !reflect.DeepEqual(got, want) {
		t.Errorf("the events hold %v, want %v", got, want)
	}
}
