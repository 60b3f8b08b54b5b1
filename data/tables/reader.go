package tables

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/internal/concat"
	"github.com/modular-bridging/bridge/data/internal/parts"
	"github.com/modular-bridging/bridge/data/record"
)

// Format is the name of the format in a recipe.
const Format = "parquet"

// Reader gives the rows of parquet files. It implements [record.Reader].
type Reader struct {
	files    []*file
	rows     concat.Rows // of the files
	warnings []string
}

var _ record.Reader = (*Reader)(nil)

// file is a parquet file.
type file struct {
	path    string
	file    *os.File
	digest  string
	columns *columns
	rows    concat.Rows // of the row groups
	cursors cursors
	images  parts.Folder
}

// Open opens parquet files in the given order. images is the folder of pictures that a file names
// by their path and does not hold; if it is empty, that is the file's own folder. The columns of
// texts are, in the order in which they count: conversations (from, value), texts beside a list of
// pictures (an interleaved document, or turns of user and assistant), question with answers or
// answer, and caption, captions, text, txt, TEXT, sentences or raw.
func Open(paths []string, images string) (*Reader, error) {
	r := &Reader{}
	for _, path := range paths {
		f, err := openFile(path, images)
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		r.files = append(r.files, f)
		r.rows.Add(f.rows.Len())
		if len(r.warnings) == 0 {
			r.warnings = f.columns.warnings(path)
		}
	}
	if r.Len() == 0 {
		return nil, errors.Join(adapters.Errorf(adapters.Invalid, "%s holds no row", strings.Join(paths, ", ")), r.Close())
	}
	return r, nil
}

// guard turns a panic of the library, which damaged files can cause, into an error.
func guard(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the file is damaged: %v", p)
	}
}

// openFile opens a file and chooses its columns.
func openFile(path, images string) (f *file, err error) {
	in, table, err := openTable(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = in.Close() // only read
		}
	}()
	if images == "" {
		images = filepath.Dir(path)
	}
	f = &file{path: path, file: in, images: parts.Folder(images), cursors: cursors{dictionaries: dictionaries{in: in, file: table}}}
	for _, g := range table.RowGroups() {
		f.rows.Add(int(g.NumRows()))
	}
	if f.columns, err = findColumns(table, path); err != nil {
		return nil, err
	}
	if err = f.columns.checkCompression(table, path); err != nil {
		return nil, err
	}
	if err = f.checkNames(); err != nil {
		return nil, err
	}
	f.digest, err = digest(in, table.Size())
	return f, err
}

// checkNames refuses a file whose first pictures are addresses. A row that cannot be read is a bad
// record later.
func (f *file) checkNames() error {
	p := f.columns.picture
	if p == nil || p.bytes != nil {
		return nil
	}
	const looked = 20
	for row := range min(looked, f.rows.Len()) {
		_, err := f.record(row)
		if adapters.KindOf(err) == adapters.Unsupported {
			return adapters.Errorf(adapters.Unsupported, "%s: row %d: %w", f.path, row, err).ReplaceRemedy(addresses, p.name)
		}
	}
	return nil
}

// openTable opens a parquet file and reads its schema.
func openTable(path string) (in *os.File, table *parquet.File, err error) {
	in, err = os.Open(path)
	if err != nil {
		return nil, nil, adapters.Errorf(adapters.NotFound, "parquet file: %w", err).
			WithRemedy("a relative path begins at the working folder")
	}
	defer func() {
		if err != nil {
			_ = in.Close() // only read
			err = adapters.Errorf(adapters.Corrupt, "%s cannot be read as a parquet file: %w", path, err).
				WithRemedy("write or download it again")
		}
	}()
	defer guard(&err)
	info, err := in.Stat()
	if err != nil {
		return in, nil, err
	}
	if !info.Mode().IsRegular() {
		return in, nil, errors.New("it is a folder or no regular file")
	}
	table, err = parquet.OpenFile(in, info.Size(), parquet.SkipBloomFilters(true))
	return in, table, err
}

// digest identifies a file by its size, and the bytes in four places of it. The last of them holds
// the footer, which has the sizes and the counts of all columns.
func digest(f io.ReaderAt, size int64) (string, error) {
	const places, length = 4, 64 << 10
	sum := sha256.New()
	fmt.Fprintln(sum, size)
	for i := range int64(places) {
		at := max(0, size-length) * i / (places - 1)
		if _, err := io.Copy(sum, io.NewSectionReader(f, at, length)); err != nil {
			return "", adapters.Errorf(adapters.Corrupt, "parquet file: %w", err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:16]), nil
}

// Format returns "parquet".
func (r *Reader) Format() string { return Format }

// Len returns the number of rows of all files.
func (r *Reader) Len() int { return r.rows.Len() }

// Digest identifies the files by their sizes, footers and sampled bytes.
func (r *Reader) Digest() string {
	sum := sha256.New()
	for _, f := range r.files {
		fmt.Fprintln(sum, f.digest)
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

// Warnings names columns that are not read.
func (r *Reader) Warnings() []string { return r.warnings }

// Close closes the files.
func (r *Reader) Close() error {
	var errs []error
	for _, f := range r.files {
		errs = append(errs, f.cursors.close(), f.file.Close())
	}
	return errors.Join(errs...)
}

// Record returns row i. A page that is damaged makes its rows bad records.
func (r *Reader) Record(i int) (record.Record, error) {
	n, in := r.rows.Find(i)
	f := r.files[n]
	rec, err := f.record(in)
	rec.File, rec.Offset = f.path, -1
	if err != nil {
		return record.Record{}, rec.Bad(i, parts.Why(err), err)
	}
	if rec.Key == "" {
		rec.Key = strconv.Itoa(i)
	}
	return rec, nil
}

// record returns a row of the file.
func (f *file) record(row int) (rec record.Record, err error) {
	group, in := f.rows.Find(row)
	c := f.cursors.take(group)
	rec, err = f.read(c, int64(in))
	if err != nil {
		_ = c.close() // what it read is damaged
		return rec, err
	}
	return rec, f.cursors.give(c)
}

// read reads a row of a row group.
func (f *file) read(c *cursor, row int64) (rec record.Record, err error) {
	defer guard(&err)
	t := &rowReader{file: f, cursor: c, row: row}
	rec = t.record()
	return rec, t.err
}

// Successes returns how many rows of a file have the status that img2dataset gives to pictures
// that it wrote. It reports false if there is no such file or column.
func Successes(path string) (n int, found bool, err error) {
	in, table, err := openTable(path)
	if adapters.KindOf(err) == adapters.NotFound {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	defer in.Close()
	defer guard(&err)
	status := text(table.Root().Column("status"), nil)
	if status == nil || status.listed || status.compressedByLZ4(table) {
		return 0, false, nil
	}
	for _, g := range table.RowGroups() {
		pages := parquet.NewColumnChunkValueReader(g.ColumnChunks()[status.column])
		var buf [256]parquet.Value
		for {
			k, err := pages.ReadValues(buf[:])
			for _, v := range buf[:k] {
				if !v.IsNull() && string(v.ByteArray()) == success {
					n++
				}
			}
			if errors.Is(err, io.EOF) || k == 0 && err == nil {
				break
			}
			if err != nil {
				return 0, false, errors.Join(adapters.Errorf(adapters.Corrupt, "%s: %w", path, err), pages.Close())
			}
		}
		if err := pages.Close(); err != nil {
			return 0, false, err
		}
	}
	return n, true, nil
}

// success is img2dataset's status of a picture that it wrote.
const success = "success"
