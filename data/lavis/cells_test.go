package lavis

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
)

// Rows are those that Python's csv module reads (tools/reference/formats.py). Each is read again from
// its own bytes.
func TestRowsArePythons(t *testing.T) {
	text, err := os.ReadFile("testdata/cells.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Text, Comma string
		Rows        [][]string
	}
	if err := json.Unmarshal(text, &cases); err != nil || len(cases) < 200 {
		t.Fatalf("%d cases (%v)", len(cases), err)
	}
	for _, c := range cases {
		rows := [][]string{}
		for r := newCellReader(strings.NewReader(c.Text), c.Comma[0]); ; {
			row, err := r.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			rows = append(rows, row.cells)
			alone, err := newCellReader(strings.NewReader(c.Text[row.offset:row.offset+row.size]), c.Comma[0]).next()
			if err != nil || !reflect.DeepEqual(alone.cells, row.cells) {
				t.Errorf("%q: the row %q alone is %q (%v)", c.Text, row.cells, alone.cells, err)
			}
		}
		if !reflect.DeepEqual(rows, c.Rows) {
			t.Errorf("%q with %q: rows %q, Python has %q", c.Text, c.Comma, rows, c.Rows)
		}
	}
}

// A mark that is not closed takes in the rows behind it, so it is told where that can be told.
func TestOpenQuotesAreTold(t *testing.T) {
	for text, open := range map[string]bool{
		"a,\"dog\n1,2\n":               true,
		"a,\"dog\nb,c\nd,\"quoted\"\n": true,
		"a,\"dog\":\nb,c\n":            false,
		"a,\"two\nlines\"\n":           false,
		"5\" x,\"two\nlines\"\n":       false,
	} {
		if row, err := newCellReader(strings.NewReader(text), ',').next(); err != nil || row.open != open {
			t.Errorf("%q: open %v (%v), want %v", text, row.open, err, open)
		}
	}
}
