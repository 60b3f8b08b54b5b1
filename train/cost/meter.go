package cost

import (
	"slices"
	"sync"
)

// Meter counts what a run computes. The zero value counts under no name until [Meter.Enter]. Its
// methods may be called from several goroutines.
type Meter struct {
	mu     sync.Mutex
	ledger Ledger
	phase  string
}

// Enter starts a phase, or continues it, and returns a function that goes back to the one before.
func (m *Meter) Enter(phase string) (leave func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.phase
	m.phase = phase
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.phase = before
	}
}

// Add adds a count to the current phase.
func (m *Meter) Add(c Count) {
	if c == (Count{}) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.ledger {
		if m.ledger[i].Name == m.phase {
			m.ledger[i].Count = m.ledger[i].Plus(c)
			return
		}
	}
	m.ledger = append(m.ledger, Phase{m.phase, c})
}

// Ledger returns the counts so far. It is not nil.
func (m *Meter) Ledger() Ledger {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append(Ledger{}, m.ledger...)
}

// Restore replaces the counts so far by those of a checkpoint.
func (m *Meter) Restore(l Ledger) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ledger = slices.Clone(l)
}
