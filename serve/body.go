package serve

import (
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/serve/chat"
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

// give returns bytes.
func (b *budget) give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += n
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

// readBody reads the body of a request within the limits of size and time. The caller calls free
// when it needs the body no more.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) (body []byte, free func(), err error) {
	limits := s.config.Load().Limits
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, nil, chat.Errorf("", "the body is of type %s, want application/json", quoted(r.Header.Get("Content-Type"))).
			WithStatus(http.StatusUnsupportedMediaType, adapters.Invalid).WithRemedy("send the header Content-Type: application/json")
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, nil, chat.Errorf("", "the body is encoded as %s, want it as it is", quoted(encoding)).WithStatus(http.StatusUnsupportedMediaType, adapters.Unsupported)
	}
	if r.ContentLength > limits.BodyBytes {
		return nil, nil, errBody(limits.BodyBytes)
	}
	arriving := &budgeted{from: http.MaxBytesReader(w, r.Body, limits.BodyBytes), budget: s.bodies}
	free = arriving.free
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(limits.Body))
	body, err = io.ReadAll(arriving)
	if err == nil {
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // from here on a read waits for the client to leave
		return body, free, nil
	}
	free()
	var tooLarge *http.MaxBytesError
	var timeout net.Error
	switch {
	case errors.Is(err, errNoBudget):
		return nil, nil, overloaded("the server holds as many requests as it can")
	case errors.As(err, &tooLarge):
		return nil, nil, errBody(limits.BodyBytes)
	case errors.As(err, &timeout) && timeout.Timeout():
		w.Header().Set("Connection", "close")
		return nil, nil, chat.Errorf("", "the body did not arrive within %v", limits.Body).WithStatus(http.StatusRequestTimeout, adapters.Canceled)
	}
	return nil, nil, chat.Errorf("", "the body cannot be read: it ends before its length, or is not well formed")
}

func errBody(most int64) error {
	return chat.Errorf("", "the body is larger than %d bytes", most).WithStatus(http.StatusRequestEntityTooLarge, adapters.Exhausted).
		WithRemedy("send smaller or fewer pictures")
}
