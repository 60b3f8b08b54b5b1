package lavis

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/data/internal/concat"
	"github.com/modular-bridging/bridge/data/internal/parts"
	"github.com/modular-bridging/bridge/data/record"
	"github.com/modular-bridging/bridge/internal/didyoumean"
)

// TableFormat is the name of the format of CSV and TSV files in a recipe.
const TableFormat = "csv"

// columns are the columns of a table that are read.
var columns = []string{"image", "caption", "image_id", "question", "answer", "kind"}

// Table gives the rows of CSV and TSV files. It implements [record.Reader].
type Table struct {
	files    []*tableFile
	rows     concat.Rows // of the files
	folder   parts.Folder
	warnings []string
}

var _ record.Reader = (*Table)(nil)

// tableFile is a file of a table.
type tableFile struct {
	path   string
	file   *os.File
	comma  byte
	header []string
	rows   []tableRow
	digest string
}

// tableRow is the place of a row.
type tableRow struct {
	offset int64
	size   int32
	line   int32
}

// IsTable reports whether a file has an extension by which LAVIS reads it as a table.
func IsTable(path string) bool {
	ext := strings.ToLower(filepath.Ext(path))
	return ext == ".csv" || ext == ".tsv"
}

// OpenTables opens CSV or TSV files, whose first line names the columns: image, and caption or
// question and answer; image_id and kind may be there. images is the folder of their pictures.
func OpenTables(paths []string, images string) (*Table, error) {
	t := &Table{folder: parts.Folder(images)}
	for _, path := range paths {
		f, err := openTable(path)
		if err != nil {
			return nil, errors.Join(err, t.Close())
		}
		t.files = append(t.files, f)
		t.rows.Add(len(f.rows))
		for _, name := range f.header {
			lower := strings.ToLower(name)
			if !slices.Contains(columns, name) && slices.Contains(columns, lower) {
				t.warnings = append(t.warnings, fmt.Sprintf("%s: names of columns are matched exactly, so %q is not read as %q", path, name, lower))
			}
		}
	}
	if t.Len() == 0 {
		return nil, errors.Join(adapters.Errorf(adapters.Invalid, "%s holds no row below its header", strings.Join(paths, ", ")), t.Close())
	}
	return t, nil
}

// openTable opens a file and finds its rows.
func openTable(path string) (*tableFile, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "annotations: %w", err).
			WithRemedy("a relative path begins at the working folder")
	}
	f := &tableFile{path: path, file: in, comma: ','}
	if strings.EqualFold(filepath.Ext(path), ".tsv") {
		f.comma = '\t'
	}
	if err := f.scan(); err != nil {
		_ = in.Close() // only read
		return nil, err
	}
	return f, nil
}

// scan reads the header and finds the rows.
func (f *tableFile) scan() error {
	sum := sha256.New()
	r := newCellReader(io.TeeReader(f.file, sum), f.comma)
	for {
		row, err := r.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return adapters.Errorf(adapters.Corrupt, "%s cannot be read: %w", f.path, err)
		}
		if row.open {
			return adapters.Errorf(adapters.Invalid, "%s: line %d: a quotation mark of this row is not closed: the text in quotes has several lines, and more text or the end of the file follows it", f.path, row.line).
				WithRemedy("close it, or double the marks inside of a text in quotes")
		}
		if f.header == nil {
			f.header = row.cells
			f.header[0] = strings.TrimPrefix(f.header[0], "\ufeff")
			if err := f.checkHeader(); err != nil {
				return err
			}
			continue
		}
		if row.size > math.MaxInt32 || row.line > math.MaxInt32 {
			return adapters.Errorf(adapters.Invalid, "%s: line %d: a row of %d bytes", f.path, row.line, row.size)
		}
		f.rows = append(f.rows, tableRow{offset: row.offset, size: int32(row.size), line: int32(row.line)})
	}
	if f.header == nil {
		return adapters.Errorf(adapters.Invalid, "%s is empty, want a table with a header", f.path)
	}
	f.digest = hex.EncodeToString(sum.Sum(nil)[:16])
	return nil
}

// checkHeader returns an error if a column is missing.
func (f *tableFile) checkHeader() error {
	lacks := func(name string) error {
		err := adapters.Errorf(adapters.Invalid, "%s: the header has no column %q; its columns are %q", f.path, name, f.header)
		if near := didyoumean.Name(name, f.header); near != "" {
			return err.WithRemedy("rename %q to %q: names are matched exactly", near, name)
		}
		return err.WithRemedy("the first line names the columns: image and caption, or image, question and answer")
	}
	switch {
	case !slices.Contains(f.header, "image"):
		return lacks("image")
	case !slices.Contains(f.header, "caption") && !slices.Contains(f.header, "question"):
		return lacks("caption")
	}
	return nil
}

// Format returns "csv".
func (t *Table) Format() string { return TableFormat }

// Len returns the number of rows of all files.
func (t *Table) Len() int { return t.rows.Len() }

// Record returns row i.
func (t *Table) Record(i int) (record.Record, error) {
	n, in := t.rows.Find(i)
	f := t.files[n]
	row := f.rows[in]
	rec, err := f.record(row, t.folder)
	rec.File, rec.Offset = f.path, row.offset
	if err != nil {
		return record.Record{}, rec.Bad(i, parts.Why(err), fmt.Errorf("line %d: %w", row.line, err))
	}
	rec.Key = strconv.Itoa(i)
	return rec, nil
}

func (f *tableFile) record(at tableRow, folder parts.Folder) (record.Record, error) {
	data := make([]byte, at.size)
	if _, err := f.file.ReadAt(data, at.offset); err != nil {
		return record.Record{}, fmt.Errorf("cannot be read (the file may have changed): %w", err)
	}
	if !utf8.Valid(data) {
		return record.Record{}, errors.New("the row is not UTF-8; save the file as UTF-8")
	}
	row, err := newCellReader(bytes.NewReader(data), f.comma).next()
	if err != nil {
		return record.Record{}, fmt.Errorf("cannot be read (the file may have changed): %w", err)
	}
	if len(row.cells) != len(f.header) {
		return record.Record{}, fmt.Errorf("the row has %d cells, and the header %d", len(row.cells), len(f.header))
	}
	e, err := entryOf(f.header, row.cells)
	if err != nil {
		return record.Record{}, err
	}
	return fromEntry(e, folder)
}

// Digest identifies the bytes of all files.
func (t *Table) Digest() string {
	sum := sha256.New()
	for _, f := range t.files {
		fmt.Fprintln(sum, f.digest)
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

// Warnings names columns that only look like one that is read.
func (t *Table) Warnings() []string { return t.warnings }

// Close closes the files.
func (t *Table) Close() error {
	var errs []error
	for _, f := range t.files {
		errs = append(errs, f.file.Close())
	}
	return errors.Join(errs...)
}
