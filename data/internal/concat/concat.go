// Package concat numbers the rows of parts that follow each other, such as the files of a source.
package concat

import "sort"

// Rows numbers the rows of parts. The zero value has none.
type Rows struct {
	ends []int // number of rows up to the end of each part
}

// Add adds a part with n rows, which may be 0.
func (r *Rows) Add(n int) { r.ends = append(r.ends, r.Len()+n) }

// Len returns the number of all rows.
func (r *Rows) Len() int {
	if len(r.ends) == 0 {
		return 0
	}
	return r.ends[len(r.ends)-1]
}

// Find returns the part of a row, 0 ≤ row < Len, and the row's number in it.
func (r *Rows) Find(row int) (part, at int) {
	part = sort.SearchInts(r.ends, row+1)
	return part, row - r.start(part)
}

// Sizes returns the number of rows of each part.
func (r *Rows) Sizes() []int {
	sizes := make([]int, len(r.ends))
	for part, end := range r.ends {
		sizes[part] = end - r.start(part)
	}
	return sizes
}

// start returns the number of rows before a part.
func (r *Rows) start(part int) int {
	if part == 0 {
		return 0
	}
	return r.ends[part-1]
}
