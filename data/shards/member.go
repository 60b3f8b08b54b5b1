package shards

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

const block = 512 // bytes of a header; data is padded to a multiple of it

var (
	// nameRule splits the name of a member into key and extension as webdataset does: at the
	// first dot of the base name.
	nameRule = regexp.MustCompile(`^((?:.*/|)[^.]+)[.]([^/]*)$`)
	// metaRule matches the names of members that describe the shard, such as __index__/a.json.
	metaRule = regexp.MustCompile(`^__[^/]*__($|/)`)
)

// splitName returns the key and the extension of a member, the extension in lower case. It
// reports false for names that belong to no sample.
func splitName(name string) (key, ext string, ok bool) {
	if metaRule.MatchString(name) || !strings.Contains(name, "/") && strings.HasPrefix(name, "__") && strings.HasSuffix(name, "__") {
		return "", "", false
	}
	m := nameRule.FindStringSubmatch(name)
	if m == nil {
		return "", "", false
	}
	return m[1], strings.ToLower(m[2]), true
}

// member is a member of a shard that belongs to a sample.
type member struct {
	key, ext string
	name     string
	header   int64 // offset of its first header
	data     int64 // offset of its data
	size     int64 // of its data
	sparse   bool
}

// walker reads the headers of the members in a part of a shard.
type walker struct {
	file    io.ReaderAt
	in      *io.SectionReader
	tar     *tar.Reader
	begin   int64 // of the part
	next    int64 // offset of the next header in the file
	end     int64 // of the part
	links   int   // hard and symbolic links, which webdataset passes over
	outside int   // other members that belong to no sample
	whole   bool  // the end of the archive was reached
}

// newWalker reads the headers in the bytes [begin, end) of a file.
func newWalker(file io.ReaderAt, begin, end int64) *walker {
	in := io.NewSectionReader(file, begin, end-begin)
	return &walker{file: file, in: in, tar: tar.NewReader(in), begin: begin, next: begin, end: end}
}

// damage is the error of a shard that cannot be read from some place on.
type damage struct {
	offset int64
	what   string
	at     *member // whose data is cut off; nil if a header is damaged
}

func (d *damage) Error() string { return d.what }

// member returns the next member that belongs to a sample. It returns io.EOF after the last, and
// a *damage if the rest cannot be read.
func (w *walker) member() (member, error) {
	for {
		header := w.next
		h, err := w.tar.Next()
		if errors.Is(err, tar.ErrInsecurePath) && h != nil {
			err = nil // nothing is unpacked
		}
		if err != nil {
			return member{}, w.failed(err, header)
		}
		at, err := w.in.Seek(0, io.SeekCurrent)
		if err != nil {
			return member{}, w.failed(err, header)
		}
		m := member{name: h.Name, header: header, data: w.begin + at, size: h.Size, sparse: isSparse(h)}
		if err := w.skip(&m); err != nil {
			return member{}, err
		}
		switch h.Typeflag {
		case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		case tar.TypeLink, tar.TypeSymlink:
			w.links++
			continue
		default:
			w.outside++
			continue
		}
		var ok bool
		if m.key, m.ext, ok = splitName(h.Name); ok {
			return m, nil
		}
		w.outside++
	}
}

// skip sets next to the header after a member. It returns a *damage if the data is cut off.
func (w *walker) skip(m *member) error {
	end := m.data + m.size
	if m.sparse {
		const most = 64 << 20 // holes take no room in the file, but time
		if m.size > most {
			return &damage{offset: m.header, what: fmt.Sprintf("%q is a sparse member of %d bytes", m.name, m.size), at: m}
		}
		if _, err := io.Copy(io.Discard, w.tar); err != nil {
			return &damage{offset: m.header, what: fmt.Sprintf("%q is a sparse member that is damaged: %v", m.name, err), at: m}
		}
		at, err := w.in.Seek(0, io.SeekCurrent)
		if err != nil {
			return w.failed(err, m.header)
		}
		end = w.begin + at
	}
	if end > w.end || end < m.data {
		return &damage{offset: m.header, what: fmt.Sprintf("%q is cut off: it has %d bytes, and the file ends after %d of them",
			m.name, m.size, max(0, w.end-m.data)), at: m}
	}
	w.next = min((end+block-1)/block*block, w.end)
	return nil
}

// failed describes why the header at an offset cannot be read; io.EOF stays.
func (w *walker) failed(err error, header int64) error {
	switch {
	case errors.Is(err, io.EOF) && !w.beginsHeader(header):
		w.whole = true
		return io.EOF
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &damage{offset: header, what: "the file ends in the middle of a header"}
	case errors.Is(err, tar.ErrHeader):
		return &damage{offset: header, what: "here is no tar header; the rest of the shard cannot be read"}
	}
	return &damage{offset: header, what: "cannot be read: " + err.Error()}
}

// beginsHeader reports whether there are bytes of a header at an offset. archive/tar takes a file that
// ends behind a PAX or GNU header, which belongs to the next, for an archive without its end mark.
func (w *walker) beginsHeader(at int64) bool {
	head := make([]byte, min(block, max(0, w.end-at)))
	n, _ := w.file.ReadAt(head, at)
	return len(bytes.Trim(head[:n], "\x00")) > 0
}

// isSparse reports whether holes of a member are left out of the file.
func isSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}
