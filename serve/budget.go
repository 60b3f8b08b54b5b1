package serve

import "sync"

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

// give returns bytes.
func (b *budget) give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += n
}
