package serve

import (
	"errors"
	"io"
	"sync"
)

// budget bounds the bytes that requests hold together.
type budget struct {
	mu   sync.Mutex
	left int64
}

func newBudget(bytes int64) *budget { return &budget{left: bytes} }

// take reserves bytes, or reports that there are not as many left.
func (b *budget) take(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > b.left {
		return false
	}
	b.left -= n
	return true
}

// errNoBudget is the error of a body that no bytes are left for.
var errNoBudget = errors.New("no bytes are left")

// budgeted takes the bytes of a body from a budget when they arrive. So a client that announces a
// large body and sends nothing holds nothing.
type budgeted struct {
	from   io.Reader
	budget *budget
	taken  int64
}

// Read reads from the body, or returns [errNoBudget].
func (b *budgeted) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	if !b.budget.take(int64(n)) {
		return 0, errNoBudget
	}
	b.taken += int64(n)
	return n, err
}

// free returns what the body has taken.
func (b *budgeted) free() {
	b.budget.give(b.taken)
	b.taken = 0
}

// give returns bytes.
func (b *budget) give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += n
}
