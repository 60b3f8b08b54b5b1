package shards

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/internal/concat"
	"github.com/modular-bridging/bridge/data/internal/parts"
	"github.com/modular-bridging/bridge/data/internal/sample"
	"github.com/modular-bridging/bridge/data/record"
)

// Format is the name of the format in a recipe.
const Format = "webdataset"

// Reader gives the samples of tar shards at random. It implements [record.Reader].
type Reader struct {
	files    []string
	index    *index
	samples  concat.Rows // of the shards
	warnings []string
}

var _ record.Reader = (*Reader)(nil)

// Open opens tar shards in the given order. It scans them if there is no index of them that fits.
// Each of files is a path; [Expand] makes paths of a pattern. The error has kind NotFound if a
// shard is missing, Unsupported if one is compressed, and Corrupt if one is no tar archive.
func Open(ctx context.Context, files []string, o Options) (*Reader, error) {
	if len(files) == 0 {
		return nil, adapters.Errorf(adapters.Invalid, "no shards are named, want at least one")
	}
	for _, file := range files {
		if err := refuse(file); err != nil {
			return nil, err
		}
	}
	x, err := indexOf(ctx, files, o)
	if err != nil {
		return nil, err
	}
	r := &Reader{files: files, index: x}
	for _, s := range x.shards {
		r.samples.Add(s.Samples)
	}
	if r.Len() == 0 {
		return nil, errors.Join(adapters.Errorf(adapters.Invalid, "the shards hold no sample: %d, the first %s", len(files), files[0]).
			WithRemedy("a sample's members are named KEY.EXTENSION, such as 000001.jpg and 000001.txt"), x.close())
	}
	r.warnings = r.scanWarnings()
	counts, err := checkCounts(files, x.shards)
	if err != nil {
		return nil, errors.Join(err, x.close())
	}
	r.warnings = append(r.warnings, counts...)
	return r, nil
}

// Format returns "webdataset".
func (r *Reader) Format() string { return Format }

// Len returns the number of samples, with those that cannot be used.
func (r *Reader) Len() int { return r.samples.Len() }

// Bad returns the number of samples that cannot be used for what the headers say: they are cut
// off, have an extension twice, or are sparse.
func (r *Reader) Bad() int {
	n := 0
	for _, s := range r.index.shards {
		n += s.Bad
	}
	return n
}

// Digest identifies the shards: their members' names and sizes, and bytes in four places of each.
// It does not depend on where they are, nor on their times.
func (r *Reader) Digest() string {
	sum := sha256.New()
	for _, s := range r.index.shards {
		fmt.Fprintf(sum, "%s %s %d %d\n", s.Names, s.Bytes, s.Size, s.Samples)
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

// Warnings returns what was passed over, and counts that differ from those of img2dataset's
// files beside the shards.
func (r *Reader) Warnings() []string { return r.warnings }

// Close releases the index.
func (r *Reader) Close() error { return r.index.close() }

// scanWarnings returns a sentence for each kind of thing that was passed over.
func (r *Reader) scanWarnings() []string {
	var links, outside, repeated, at int
	var unmarked []string
	var warnings []string
	for i, s := range r.index.shards {
		links, outside = links+s.Links, outside+s.Outside
		if s.Repeated > 0 && repeated == 0 {
			at = i
		}
		repeated += s.Repeated
		if s.Unmarked {
			unmarked = append(unmarked, r.files[i])
		}
		if s.Behind > 0 {
			warnings = append(warnings, fmt.Sprintf("%s: bytes follow the archive's end mark at byte %d, and are not read: archives that are joined need tar's option --concatenate",
				r.files[i], s.Behind))
		}
	}
	if len(unmarked) > 0 {
		warnings = append(warnings, fmt.Sprintf("shards that end without tar's end mark, so samples may be missing: %d, the first %s; download or write them again",
			len(unmarked), unmarked[0]))
	}
	if links > 0 {
		warnings = append(warnings, fmt.Sprintf("links in the shards, which webdataset passes over: %d", links))
	}
	if repeated > 0 {
		warnings = append(warnings, fmt.Sprintf("samples whose key another sample of the shard has: %d, the first %q in %s; only members next to each other are one sample",
			repeated, r.index.shards[at].Example, r.files[at]))
	}
	return warnings
}

// find returns the shard of a sample, and the sample's number in it.
func (r *Reader) find(i int) (shard, in int) {
	return r.samples.Find(i)
}

// Record returns sample i. It reads the headers and the texts, and not the pictures.
func (r *Reader) Record(i int) (record.Record, error) {
	n, in := r.find(i)
	path := r.files[n]
	e := r.index.entry(&r.index.shards[n], in)
	rec, err := readRecord(path, e)
	rec.File, rec.Offset = path, int64(e.begin)
	if err != nil {
		return record.Record{}, rec.Bad(i, parts.Why(err), err)
	}
	return rec, nil
}

// readRecord reads the sample at an entry of a shard. With an error, the record has its key if that
// is known.
func readRecord(path string, e entry) (record.Record, error) {
	f, err := os.Open(path)
	if err != nil {
		return record.Record{}, fmt.Errorf("the shard cannot be opened: %w", err)
	}
	defer f.Close()
	found, err := readSample(f, e)
	if err != nil {
		return record.Record{Key: found.key}, err
	}
	return sample.Record(found.key, membersOf(path, &found))
}

// errChanged is the reason of a sample that is not where the index says.
var errChanged = errors.New("the shard has changed since its index was made: it has no such sample there; open the source again")

// readSample reads the headers of the sample at an entry. The sample has its key even with an
// error, if it is known.
func readSample(f io.ReaderAt, e entry) (run, error) {
	end := int64(e.begin + e.length)
	if e.begin > uint64(end) || end < 0 {
		return run{}, errChanged
	}
	samples := sampler{walk: newWalker(f, int64(e.begin), end)}
	found, err := samples.next()
	if err != nil || entryOf(&found) != e {
		return run{}, errChanged
	}
	return found, found.fault
}

// membersOf returns the members of a sample. Each time one is opened, it opens the shard.
func membersOf(path string, s *run) []sample.Member {
	var all []sample.Member
	for _, m := range s.members {
		all = append(all, sample.Member{Name: m.name, Ext: m.ext, Size: m.size, Open: func() (io.ReadCloser, error) {
			f, err := os.Open(path)
			if err != nil {
				return nil, adapters.Errorf(adapters.NotFound, "shard: %w", err)
			}
			return &section{io.NewSectionReader(f, m.data, m.size), f}, nil
		}})
	}
	return all
}

// section is a part of a file. Close closes the file.
type section struct {
	*io.SectionReader
	file io.Closer
}

// Close closes the file.
func (s *section) Close() error { return s.file.Close() }
