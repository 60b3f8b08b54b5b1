// Package wholelines reads files to which a program appends lines, and which it may have left in the
// middle of one when it was killed.
package wholelines

import (
	"bufio"
	"errors"
	"io"
	"iter"
)

// Of returns the lines of in, each with its line feed. A last line without one was being written when the
// program was killed, and is left out. An error of in ends the sequence.
func Of(in io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		r := bufio.NewReaderSize(in, 1<<16)
		for {
			line, err := r.ReadBytes('\n')
			if errors.Is(err, io.EOF) {
				return
			}
			if !yield(line, err) || err != nil {
				return
			}
		}
	}
}
