package shards

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"github.com/modular-bridging/bridge/internal/mapped"
)

// An index file holds magic, an entry for each sample, a table of the shards in JSON, and a
// footer of footerSize bytes: offset and length of the table, the checksum of all bytes before
// it, and magic again. Numbers are little-endian.
const (
	magic      = "bridge shards 1\n"
	entrySize  = 24
	footerSize = 8 + 8 + 4 + len(magic)
)

var checksums = crc32.MakeTable(crc32.Castagnoli)

// entry is the place of a sample in its shard.
type entry struct {
	begin  uint64 // offset of its first header
	length uint64 // of its headers and data
	key    uint32 // checksum of the key
	flags  uint32
}

// isBad is the flag of a sample that cannot be used for what the headers say.
const isBad = 1

// entryOf returns the entry of a sample.
func entryOf(s *run) entry {
	e := entry{begin: uint64(s.begin), length: uint64(s.end - s.begin), key: keySum(s.key)}
	if s.fault != nil {
		e.flags |= isBad
	}
	return e
}

func keySum(key string) uint32 { return crc32.Checksum([]byte(key), checksums) }

func (e entry) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, e.begin)
	b = binary.LittleEndian.AppendUint64(b, e.length)
	b = binary.LittleEndian.AppendUint32(b, e.key)
	return binary.LittleEndian.AppendUint32(b, e.flags)
}

func readEntry(b []byte) entry {
	return entry{
		begin: binary.LittleEndian.Uint64(b), length: binary.LittleEndian.Uint64(b[8:]),
		key: binary.LittleEndian.Uint32(b[16:]), flags: binary.LittleEndian.Uint32(b[20:]),
	}
}

// shard describes a shard in an index.
type shard struct {
	Name     string `json:"name"` // relative to the index file's folder, or absolute
	Size     int64  `json:"size"`
	Time     int64  `json:"time"`  // of its last change, in nanoseconds
	Names    string `json:"names"` // digest of its members' names and sizes
	Bytes    string `json:"bytes"` // digest of its bytes in four places
	Samples  int    `json:"samples"`
	Bad      int    `json:"bad,omitempty"`
	Repeated int    `json:"repeated,omitempty"` // samples whose key an earlier one of the shard has
	Example  string `json:"example,omitempty"`  // the first such key
	Links    int    `json:"links,omitempty"`    // links, which are passed over
	Outside  int    `json:"outside,omitempty"`  // other members that belong to no sample
	Behind   int64  `json:"behind,omitempty"`   // offset of bytes behind the end mark; 0 if there are none
	Unmarked bool   `json:"unmarked,omitempty"` // it ends behind a member, without an end mark
	at       int64  // offset of its entries in the index file
}

// index is an index file in memory.
type index struct {
	data   []byte
	unmap  func() error // nil if the bytes are in no file
	shards []shard
}

// openIndex maps an index file and checks it.
func openIndex(path string) (*index, error) {
	data, _, unmap, err := mapped.Map(path)
	if err != nil {
		return nil, err
	}
	x, err := parseIndex(data)
	if err != nil {
		return nil, errors.Join(err, unmap())
	}
	x.unmap = unmap
	return x, nil
}

// parseIndex reads the table of an index and checks that all entries are there.
func parseIndex(data []byte) (*index, error) {
	if len(data) < len(magic)+footerSize || !bytes.HasPrefix(data, []byte(magic)) || !bytes.HasSuffix(data, []byte(magic)) {
		return nil, errors.New("it is no index of shards, or it is cut off")
	}
	body, footer := data[:len(data)-footerSize], data[len(data)-footerSize:]
	at, length := binary.LittleEndian.Uint64(footer), binary.LittleEndian.Uint64(footer[8:])
	if at < uint64(len(magic)) || at > uint64(len(body)) || length != uint64(len(body))-at {
		return nil, errors.New("its table is not where the footer says")
	}
	if sum := crc32.Checksum(body, checksums); sum != binary.LittleEndian.Uint32(footer[16:]) {
		return nil, errors.New("its bytes do not have the checksum that the footer says")
	}
	x := &index{data: data}
	if err := json.Unmarshal(body[at:], &x.shards); err != nil {
		return nil, fmt.Errorf("its table cannot be read: %w", err)
	}
	next := int64(len(magic))
	for i := range x.shards {
		s := &x.shards[i]
		if s.Samples < 0 || int64(s.Samples) > (int64(at)-next)/entrySize {
			return nil, fmt.Errorf("it has no entries for %d samples of %q", s.Samples, s.Name)
		}
		s.at = next
		next += int64(s.Samples) * entrySize
	}
	if next != int64(at) {
		return nil, errors.New("it has entries that belong to no shard")
	}
	return x, nil
}

// entry returns the entry of sample i of a shard.
func (x *index) entry(s *shard, i int) entry {
	return readEntry(x.data[s.at+int64(i)*entrySize:])
}

// entries returns the bytes of a shard's entries.
func (x *index) entries(s *shard) []byte {
	return x.data[s.at : s.at+int64(s.Samples)*entrySize]
}

// close unmaps the file.
func (x *index) close() error {
	if x == nil || x.unmap == nil {
		return nil
	}
	return x.unmap()
}

// indexWriter writes an index file.
type indexWriter struct {
	out    io.Writer
	sum    hash.Hash32
	at     int64
	shards []shard
}

func newIndexWriter(out io.Writer) (*indexWriter, error) {
	w := &indexWriter{out: out, sum: crc32.New(checksums)}
	return w, w.write([]byte(magic))
}

func (w *indexWriter) write(b []byte) error {
	_, _ = w.sum.Write(b) // never fails
	w.at += int64(len(b))
	_, err := w.out.Write(b)
	return err
}

// add writes the entries of a shard.
func (w *indexWriter) add(s shard, entries []byte) error {
	w.shards = append(w.shards, s)
	return w.write(entries)
}

// finish writes the table and the footer.
func (w *indexWriter) finish() error {
	table, err := json.Marshal(w.shards)
	if err != nil {
		return err
	}
	at := w.at
	if err := w.write(table); err != nil {
		return err
	}
	var footer []byte
	footer = binary.LittleEndian.AppendUint64(footer, uint64(at))
	footer = binary.LittleEndian.AppendUint64(footer, uint64(len(table)))
	footer = binary.LittleEndian.AppendUint32(footer, w.sum.Sum32())
	_, err = w.out.Write(append(footer, magic...))
	return err
}
