package shards

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/modular-bridging/bridge/data/internal/sample"
)

// FuzzShard reads any bytes as a shard. Nothing panics, each sample is a record or a bad record,
// and reading a sample alone finds what the scan found.
func FuzzShard(f *testing.F) {
	for _, name := range []string{"plain-000000.tar", "names-gnu.tar", "names-pax.tar", "doubled.tar", "sparse-gnu.tar", "sparse-pax.tar"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data[:min(len(data), 12<<10)])
	}
	f.Add(pack(f, item{"a.jpg", "x"}, item{"a.json", `["one"]`}))
	f.Fuzz(func(t *testing.T, data []byte) {
		in := bytes.NewReader(data)
		s, err := scanBytes(t.Context(), in, in.Size())
		if err != nil {
			t.Fatal(err) // only files can fail to be read
		}
		bad, end := 0, int64(0)
		for i := range s.shard.Samples {
			e := readEntry(s.entries[i*entrySize:])
			if int64(e.begin) < end || int64(e.begin+e.length) > in.Size() {
				t.Fatalf("sample %d is at %+v, behind the end of the file or before that of the one before it, %d", i, e, end)
			}
			end = int64(e.begin + e.length)
			found, err := readSample(in, e)
			if err != nil {
				bad++
				if errors.Is(err, errChanged) {
					t.Fatalf("sample %d at %+v is not found again: it is %+v", i, e, found)
				}
				continue
			}
			if _, err := sample.Record(found.key, membersIn(in, &found)); err != nil && found.key == "" {
				t.Fatalf("sample %d has no key: %v", i, err)
			}
		}
		if bad != s.shard.Bad {
			t.Fatalf("%d samples cannot be read, and the scan counted %d", bad, s.shard.Bad)
		}
	})
}

// membersIn returns the members of a sample in memory.
func membersIn(in io.ReaderAt, found *run) []sample.Member {
	var all []sample.Member
	for _, m := range found.members {
		all = append(all, sample.Member{Name: m.name, Ext: m.ext, Size: m.size, Open: func() (io.ReadCloser, error) {
			return io.NopCloser(io.NewSectionReader(in, m.data, m.size)), nil
		}})
	}
	return all
}

// FuzzIndex reads any bytes as an index. Nothing panics, and every entry of a shard can be read.
func FuzzIndex(f *testing.F) {
	path := file(f, "x.tar", pack(f, item{"a.txt", "x"}, item{"b.txt", "y"}))
	r, err := Open(f.Context(), []string{path}, Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append([]byte(nil), r.index.data...))
	if err := r.Close(); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := parseIndex(data)
		if err != nil {
			return
		}
		in, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		for s := range x.shards {
			for i := range min(10, x.shards[s].Samples) {
				_, _ = readSample(in, x.entry(&x.shards[s], i)) // its error is not the matter
			}
		}
	})
}

// FuzzExpand expands any pattern. Nothing panics, and nothing takes more than maxExpanded files.
func FuzzExpand(f *testing.F) {
	for _, p := range []string{"{00..03}.tar", "{a,{b,c}}::x", "{a..z..3}", "{-5..5}", "{{{1..2}}}"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		files, err := Expand(pattern)
		if err == nil && (len(files) == 0 || len(files) > maxExpanded) {
			t.Errorf("%q stands for %d files", pattern, len(files))
		}
	})
}
