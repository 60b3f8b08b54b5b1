package data

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Order chooses the records of batches. The batch of a step is the same whenever and wherever
// it is asked for.
type Order interface {
	// Indices returns the rows of step n, counted from 0.
	Indices(n int) []int
}

var (
	_ Order = (*Sampler)(nil)
	_ Order = (*Mixture)(nil)
)

// Mix says how often the sources of a data set are drawn. A plan holds it.
type Mix struct {
	// By is "size" (in proportion to the number of records), "sqrt-size" (to its square
	// root), or empty: by Weights.
	By string `json:",omitempty"`
	// Weights are relative to each other, one for each source.
	Weights []float64 `json:",omitempty"`
	// OneSource makes each batch of one source. Otherwise every record of a batch is drawn
	// from a source of its own choice.
	OneSource bool `json:",omitempty"`
}

// Ways to weigh sources by their number of records.
const (
	BySize     = "size"
	BySqrtSize = "sqrt-size"
)

// Shares returns the share of each source, of sources with the given numbers of records. They
// add up to 1.
func (m Mix) Shares(sizes []int) ([]float64, error) {
	shares := make([]float64, len(sizes))
	sum := 0.0
	for i, n := range sizes {
		switch m.By {
		case BySize:
			shares[i] = float64(n)
		case BySqrtSize:
			shares[i] = math.Sqrt(float64(n))
		case "":
			if len(m.Weights) != len(sizes) {
				return nil, fmt.Errorf("%d weights for %d sources", len(m.Weights), len(sizes))
			}
			shares[i] = m.Weights[i]
		default:
			return nil, fmt.Errorf("sources are weighed by %q, want %q, %q or numbers", m.By, BySize, BySqrtSize)
		}
		if !(shares[i] > 0) || math.IsInf(shares[i], 0) {
			return nil, fmt.Errorf("the weight of source %d is %v, want a number above 0", i, shares[i])
		}
		sum += shares[i]
	}
	for i := range shares {
		shares[i] /= sum
	}
	return shares, nil
}

// Mixture is the order of a data set of several sources, whose rows follow each other. Its
// choice depends only on its fields and the step.
//
// The draws of a source go through all its records before one comes again, whatever the other
// sources do. So a source that is drawn often has more epochs than others. No batch holds a
// record twice, unless it draws more records of a source than there are. Which source is drawn
// is decided in blocks of 4096 draws (batches, if OneSource is set): each block has every
// source in its share, rounded to whole draws but at least one, in an order of its own.
//
// A record in LeftOut is replaced by the next of its source's order, as in [Sampler].
type Mixture struct {
	Seed      uint64
	Batch     int
	Sizes     []int     // records of each source
	Shares    []float64 // of each source; they add up to 1
	OneSource bool
	// LeftOut has the rows of the data set that are never drawn.
	LeftOut map[int]bool
}

// mixBlock is the number of draws in which every source has its share.
const mixBlock = 4096

// Indices returns the rows of step n, counted from 0.
func (m *Mixture) Indices(n int) []int {
	starts := make([]int, len(m.Sizes))
	for i := 1; i < len(starts); i++ {
		starts[i] = starts[i-1] + m.Sizes[i-1]
	}
	rows := make([]int, 0, m.Batch)
	taken := make(map[int]bool, m.Batch)
	orders := map[[2]int]*sourceOrder{}
	for source, draw := range m.draws(n) {
		size := m.Sizes[source]
		key := [2]int{source, draw / size}
		order, ok := orders[key]
		if !ok {
			order = m.order(source, draw/size, starts[source])
			orders[key] = order
		}
		row := order.at(draw % size)
		for try := 1; taken[row] && try < size; try++ {
			row = order.at((draw + try) % size)
		}
		taken[row] = true
		rows = append(rows, row)
	}
	return rows
}

// draws yields the source of each record of step n, and how often it was drawn before.
func (m *Mixture) draws(n int) func(yield func(source, draw int) bool) {
	return func(yield func(source, draw int) bool) {
		if m.OneSource {
			counts := m.Counts(n)
			source := m.sourceAt(n, m.quotas())
			for i := range m.Batch {
				if !yield(source, counts[source]+i) {
					return
				}
			}
			return
		}
		counts, quotas := m.Counts(n), m.quotas()
		for i := range m.Batch {
			source := m.sourceAt(n*m.Batch+i, quotas)
			if !yield(source, counts[source]) {
				return
			}
			counts[source]++
		}
	}
}

// Counts returns how many records of each source the first n steps draw.
func (m *Mixture) Counts(n int) []int {
	slots, each := n*m.Batch, 1
	if m.OneSource {
		slots, each = n, m.Batch
	}
	quotas := m.quotas()
	counts := make([]int, len(quotas))
	for source, quota := range quotas {
		counts[source] = slots / mixBlock * quota * each
	}
	for slot := slots - slots%mixBlock; slot < slots; slot++ {
		counts[m.sourceAt(slot, quotas)] += each
	}
	return counts
}

// quotas returns how many draws of a block each source has: its share, rounded so that the sum
// is right, the largest remainders up.
func (m *Mixture) quotas() []int {
	quotas := make([]int, len(m.Shares))
	order := make([]int, len(m.Shares))
	rest := func(i int) float64 { return m.Shares[i]*mixBlock - math.Floor(m.Shares[i]*mixBlock) }
	left := mixBlock
	for i, share := range m.Shares {
		order[i], quotas[i] = i, max(1, int(share*mixBlock))
		left -= quotas[i]
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(rest(b), rest(a)) })
	for k := 0; left > 0; k++ {
		quotas[order[k%len(order)]]++
		left--
	}
	for ; left < 0; left++ { // small sources were raised to one draw: the largest gives
		largest := 0
		for i, q := range quotas {
			if q > quotas[largest] {
				largest = i
			}
		}
		quotas[largest]--
	}
	return quotas
}

// sourceAt returns the source of a draw, counted over the whole run.
func (m *Mixture) sourceAt(slot int, quotas []int) int {
	block := permutation{seed: m.Seed ^ mix(uint64(slot/mixBlock)) ^ 0x6d69787475726573, n: mixBlock}
	at := block.at(slot % mixBlock)
	for source, quota := range quotas {
		if at < quota {
			return source
		}
		at -= quota
	}
	return len(quotas) - 1
}

// sourceOrder is the order of a source's records in one of its epochs.
type sourceOrder struct {
	records permutation
	first   int   // row of the data set
	gaps    []int // places of records that are left out
}

func (m *Mixture) order(source, epoch, first int) *sourceOrder {
	o := &sourceOrder{permutation{seed: m.Seed ^ mix(uint64(source)<<32+1) ^ mix(uint64(epoch)+1), n: m.Sizes[source]}, first, nil}
	for row := range m.LeftOut {
		if at := row - first; at >= 0 && at < m.Sizes[source] {
			o.gaps = append(o.gaps, o.records.place(at))
		}
	}
	slices.Sort(o.gaps)
	return o
}

// at returns the row at a place of the order.
func (o *sourceOrder) at(place int) int {
	return o.first + o.records.at(skip(o.gaps, o.records.n, place))
}
