package benchmark

import (
	"crypto/sha256"
	"sync"

	"github.com/modular-bridging/bridge/adapters"
)

// DefaultEncodedBytes is how many bytes of features [NewEncoded] is usually given to keep.
const DefaultEncodedBytes = 2 << 30

// Encoded keeps features of pictures in memory, for the tasks after the one that encoded them: POPE's three tasks
// have the same pictures. It keeps whole requests to the encoder, because the features of a picture may depend on
// the batch in the last bits: so a task's answers are the same whether or not others ran before it. It is of one encoder.
// The zero value and nil keep nothing.
type Encoded struct {
	most int64

	mu   sync.Mutex
	used int64
	task int // counts tasks
	kept map[[sha256.Size]byte]*encodedRequest
}

// encodedRequest is the answer to a request, and the last task that needed it.
type encodedRequest struct {
	features *adapters.Tensor
	task     int
}

// NewEncoded returns a memory of at most so many bytes.
func NewEncoded(most int64) *Encoded {
	return &Encoded{most: most, kept: map[[sha256.Size]byte]*encodedRequest{}}
}

// next begins a task.
func (e *Encoded) next() {
	if e != nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.task++
	}
}

// features returns the features of pictures: those that are kept, or those that encode returns.
func (e *Encoded) features(images *adapters.Tensor, encode func() (*adapters.Tensor, error)) (*adapters.Tensor, error) {
	if e == nil {
		return encode()
	}
	key := sha256.Sum256(images.Data)
	if kept := e.get(key); kept != nil {
		return kept, nil
	}
	features, err := encode()
	if err == nil {
		e.put(key, features)
	}
	return features, err
}

// get returns the features of a request; nil if they are not there.
func (e *Encoded) get(key [sha256.Size]byte) *adapters.Tensor {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.kept[key]
	if r == nil {
		return nil
	}
	r.task = e.task
	return r.features
}

// put keeps the features of a request if there is room. Requests that only earlier tasks needed make room for it.
func (e *Encoded) put(key [sha256.Size]byte, features *adapters.Tensor) {
	size := int64(len(features.Data))
	e.mu.Lock()
	defer e.mu.Unlock()
	for old, r := range e.kept {
		if e.used+size <= e.most {
			break
		}
		if r.task < e.task {
			e.used -= int64(len(r.features.Data))
			delete(e.kept, old)
		}
	}
	if e.used+size <= e.most {
		e.kept[key] = &encodedRequest{features, e.task}
		e.used += size
	}
}
