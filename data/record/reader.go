package record

import (
	"fmt"
	"strings"

	"github.com/modular-bridging/bridge/internal/printable"
)

// Reader gives the records of a source. Its methods may be called from several goroutines,
// except Close.
type Reader interface {
	// Format is the name of the source's format, as a recipe may give it.
	Format() string
	// Len is the number of rows of the source, bad ones included. A row keeps its number.
	Len() int
	// Record returns row i, from 0. The error is a [*BadRecord] if the row is to blame. Record
	// opens no picture.
	Record(i int) (Record, error)
	// Digest identifies the content. It is cheap: of sizes, offsets and sampled bytes.
	Digest() string
	// Warnings are sentences about the source as a whole, for people.
	Warnings() []string
	Close() error
}

// BadRecord is the error of a record that cannot be used.
type BadRecord struct {
	File   string // that holds the record
	Key    string // may be empty
	Row    int    // of the reader
	Offset int64  // of the record in the file, in bytes; negative if it is not known
	Why    Why
	Err    error // the reason
}

// Why is a kind of reason, for counts.
type Why string

// The reasons for which a record is bad.
const (
	Damaged        Why = "damaged record"            // the record cannot be read or parsed
	MissingPicture Why = "picture is missing"        // there is no file or member of its name
	BadPicture     Why = "picture cannot be decoded" // or prepared, or the encoder refuses it
	Tags           Why = "tags do not match pictures"
	Empty          Why = "neither text nor picture"
	NoPicture      Why = "no picture" // in a run that does not train on texts alone
	NoTarget       Why = "no text to learn"
)

// Bad returns the error of this record for a reason.
func (r Record) Bad(row int, why Why, err error) *BadRecord {
	return &BadRecord{File: r.File, Key: r.Key, Row: row, Offset: r.Offset, Why: why, Err: err}
}

// Error returns the file, the place, the key and the reason.
func (b *BadRecord) Error() string {
	var s strings.Builder
	if b.File != "" {
		fmt.Fprintf(&s, "%s: ", printable.Name(b.File))
	}
	fmt.Fprintf(&s, "record %d", b.Row)
	if b.Key != "" {
		fmt.Fprintf(&s, " (%s)", printable.Quote(b.Key))
	}
	if b.Offset >= 0 {
		fmt.Fprintf(&s, " at byte %d", b.Offset)
	}
	return s.String() + ": " + b.Err.Error()
}

// Unwrap returns the reason.
func (b *BadRecord) Unwrap() error { return b.Err }
