package tables

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"

	"github.com/parquet-go/parquet-go"
)

// cursor reads columns of one row group. One goroutine may use it at a time.
type cursor struct {
	group        int
	rows         parquet.RowGroup
	dictionaries *dictionaries
	pages        map[int]parquet.Pages // by column
}

// cursors are the cursors of a file that nobody uses. A cursor keeps the last page of each column,
// so rows that are near each other are read without decoding their pages again.
type cursors struct {
	dictionaries
	mu   sync.Mutex
	idle []*cursor // the last used is the last
}

// maxIdle is how many cursors of a file are kept.
const maxIdle = 4

// take returns a cursor of a row group.
func (c *cursors) take(group int) *cursor {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := len(c.idle) - 1; i >= 0; i-- {
		if found := c.idle[i]; found.group == group {
			c.idle = append(c.idle[:i], c.idle[i+1:]...)
			return found
		}
	}
	return &cursor{group: group, rows: c.file.RowGroups()[group], dictionaries: &c.dictionaries, pages: map[int]parquet.Pages{}}
}

// give returns a cursor that works.
func (c *cursors) give(used *cursor) error {
	c.mu.Lock()
	c.idle = append(c.idle, used)
	var oldest *cursor
	if len(c.idle) > maxIdle {
		oldest = c.idle[0]
		c.idle = append(c.idle[:0], c.idle[1:]...)
	}
	c.mu.Unlock()
	if oldest == nil {
		return nil
	}
	return oldest.close()
}

// close closes the cursors that nobody uses.
func (c *cursors) close() error {
	var errs []error
	for _, used := range c.idle {
		errs = append(errs, used.close())
	}
	c.idle = nil
	return errors.Join(errs...)
}

func (c *cursor) close() error {
	var errs []error
	for _, p := range c.pages {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

// value is a value of a column; null if it is not there.
type value struct {
	null  bool
	bytes []byte // of a text, or a number as text
}

// read returns the values of a column in a row: one, or those of its list. It returns nil for a
// list that is null or empty, and for a nil leaf.
func (c *cursor) read(l *leaf, row int64) ([]value, error) {
	if l == nil {
		return nil, nil
	}
	pages := c.pages[l.column]
	if pages == nil {
		if err := c.dictionaries.check(c.group, l.column); err != nil {
			return nil, err
		}
		pages = c.rows.ColumnChunks()[l.column].Pages()
		c.pages[l.column] = pages
	}
	if err := pages.SeekToRow(row); err != nil {
		return nil, fmt.Errorf("row %d of the row group cannot be found: %w", row, err)
	}
	var all []value
	for {
		page, err := pages.ReadPage()
		if errors.Is(err, io.EOF) && all != nil {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		ended, err := l.append(&all, page.Values())
		parquet.Release(page)
		if ended || err != nil {
			return all, err
		}
	}
}

// append adds the values of the row at which a page begins. It reports whether the row ends in
// the page.
func (l *leaf) append(all *[]value, from parquet.ValueReader) (ended bool, err error) {
	var buf [32]parquet.Value
	begun := *all != nil
	for {
		n, err := from.ReadValues(buf[:])
		for _, v := range buf[:n] {
			if begun && v.RepetitionLevel() == 0 {
				return true, nil
			}
			if begun = true; *all == nil {
				*all = []value{}
			}
			if !l.listed || v.DefinitionLevel() >= l.present {
				*all = append(*all, valueOf(v))
			}
			if !l.listed {
				return true, nil
			}
		}
		if errors.Is(err, io.EOF) || n == 0 && err == nil {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// valueOf copies a value.
func valueOf(v parquet.Value) value {
	if v.IsNull() {
		return value{null: true}
	}
	switch v.Kind() {
	case parquet.ByteArray, parquet.FixedLenByteArray:
		return value{bytes: bytes.Clone(v.ByteArray())}
	case parquet.Int32:
		return value{bytes: strconv.AppendInt(nil, int64(v.Int32()), 10)}
	case parquet.Int64:
		return value{bytes: strconv.AppendInt(nil, v.Int64(), 10)}
	}
	return value{bytes: []byte(v.String())}
}
