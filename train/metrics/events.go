package metrics

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// eventFile is a TensorBoard event file: TFRecords of tensorflow.Event messages
// (tensorflow/core/util/event.proto). See docs/decisions/0005-tensorboard-events.md for
// why bridge writes it without a library.
type eventFile struct{ file *os.File }

// Field numbers of event.proto and summary.proto.
const (
	eventWallTime   = 1 // double
	eventStep       = 2 // int64
	eventVersion    = 3 // string
	eventSummary    = 5 // Summary
	eventSessionLog = 7 // SessionLog
	summaryValue    = 1 // Summary.Value
	valueTag        = 1 // string
	valueSimple     = 2 // float
	logStatus       = 1 // SessionLog.SessionStatus
	statusStart     = 1
)

func createEvents(dir string) (*eventFile, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	now := time.Now()
	name := fmt.Sprintf("events.out.tfevents.%d.%d.bridge", now.UnixNano(), os.Getpid())
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	e := &eventFile{file: f}
	if err := e.head(now); err != nil {
		f.Close()
		return nil, err
	}
	return e, nil
}

// head writes the version, which readers expect first in a file.
func (e *eventFile) head(at time.Time) error {
	b := protowire.AppendTag(event(0, at), eventVersion, protowire.BytesType)
	return record(e.file, protowire.AppendString(b, "brain.Event:2"))
}

// event returns the beginning of a message.
func event(step int, at time.Time) []byte {
	b := protowire.AppendTag(nil, eventWallTime, protowire.Fixed64Type)
	b = protowire.AppendFixed64(b, math.Float64bits(float64(at.Unix())+float64(at.Nanosecond())/1e9))
	if step == 0 { // protobuf omits default values
		return b
	}
	b = protowire.AppendTag(b, eventStep, protowire.VarintType)
	return protowire.AppendVarint(b, uint64(step))
}

// write adds an event with a scalar for each value.
func (e *eventFile) write(step int, at time.Time, values map[string]float64) error {
	var summary []byte
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := protowire.AppendTag(nil, valueTag, protowire.BytesType)
		value = protowire.AppendString(value, name)
		value = protowire.AppendTag(value, valueSimple, protowire.Fixed32Type)
		value = protowire.AppendFixed32(value, math.Float32bits(float32(values[name])))
		summary = protowire.AppendTag(summary, summaryValue, protowire.BytesType)
		summary = protowire.AppendBytes(summary, value)
	}
	b := protowire.AppendTag(event(step, at), eventSummary, protowire.BytesType)
	return record(e.file, protowire.AppendBytes(b, summary))
}

// restart tells readers that steps from step on are written again.
func (e *eventFile) restart(step int, at time.Time) error {
	log := protowire.AppendTag(nil, logStatus, protowire.VarintType)
	log = protowire.AppendVarint(log, statusStart)
	b := protowire.AppendTag(event(step, at), eventSessionLog, protowire.BytesType)
	return record(e.file, protowire.AppendBytes(b, log))
}

func (e *eventFile) close() error { return e.file.Close() }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// masked returns TFRecord's checksum: CRC-32C, rotated and shifted.
func masked(data []byte) uint32 {
	crc := crc32.Checksum(data, castagnoli)
	return (crc>>15 | crc<<17) + 0xa282ead8
}

// record writes a TFRecord: length, its checksum, data, its checksum.
func record(w io.Writer, data []byte) error {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, len(data)+16), uint64(len(data)))
	b = binary.LittleEndian.AppendUint32(b, masked(b))
	b = append(b, data...)
	_, err := w.Write(binary.LittleEndian.AppendUint32(b, masked(data)))
	return err
}
