package lavis

import (
	"bufio"
	"errors"
	"io"
)

// cellReader reads the rows of a table as Python's csv module and pandas, by which LAVIS reads them,
// decide. encoding/csv differs from them without an error: behind a text in quotes ("A" dog) it goes
// on to the next mark, which may be lines further.
type cellReader struct {
	in     *bufio.Reader
	comma  byte
	offset int64 // of the next byte
	line   int   // of the next byte, from 1
}

func newCellReader(in io.Reader, comma byte) *cellReader {
	return &cellReader{in: bufio.NewReaderSize(in, 1<<16), comma: comma, line: 1}
}

// tableCells is a row.
type tableCells struct {
	cells  []string
	offset int64
	size   int64 // with the end of the line
	line   int
	// open says that a quotation mark of the row may not be closed: the file ends in a text in
	// quotes, or such a text has several lines and something behind its closing mark.
	open bool
}

// The states of a cellReader are the places in a row where the next byte may stand.
type cellState int

const (
	atStart   cellState = iota // of a cell
	inPlain                    // where a mark is a character like others
	inQuotes                   // in a text in quotes
	atClosing                  // behind a mark in a text in quotes
)

// next returns the next row that is not blank. Its error is io.EOF at the end of the table.
func (r *cellReader) next() (tableCells, error) {
	row := tableCells{offset: r.offset, line: r.line}
	var cell []byte
	state, quotedFrom := atStart, 0
	for {
		b, err := r.byte(state == inQuotes)
		blank := len(row.cells) == 0 && state == atStart
		switch {
		case err != nil && (blank || !errors.Is(err, io.EOF)):
			return row, err
		case err != nil:
			row.open = row.open || state == inQuotes
			return r.end(row, cell), nil
		case state == inQuotes && b == '"':
			state = atClosing
		case state == inQuotes:
			cell = append(cell, b)
		case state == atClosing && b == '"':
			cell, state = append(cell, b), inQuotes
		case b == '\n' && blank:
			row = tableCells{offset: r.offset, line: r.line}
		case b == '\n':
			return r.end(row, cell), nil
		case b == r.comma:
			row.cells = append(row.cells, string(cell))
			cell, state = cell[:0], atStart
		case b == '"' && state == atStart:
			state, quotedFrom = inQuotes, r.line
		default:
			row.open = row.open || state == atClosing && r.line > quotedFrom
			cell, state = append(cell, b), inPlain
		}
	}
}

// end adds the last cell of a row.
func (r *cellReader) end(row tableCells, cell []byte) tableCells {
	row.cells = append(row.cells, string(cell))
	row.size = r.offset - row.offset
	return row
}

// byte returns the next byte. Outside of quotes it returns a line feed for a line's end of any kind.
func (r *cellReader) byte(quoted bool) (byte, error) {
	b, err := r.in.ReadByte()
	if err != nil {
		return 0, err
	}
	r.offset++
	if b == '\r' && !quoted {
		if next, err := r.in.Peek(1); err == nil && next[0] == '\n' {
			_, _ = r.in.Discard(1) // it was peeked at
			r.offset++
		}
		b = '\n'
	}
	if b == '\n' {
		r.line++
	}
	return b, nil
}
