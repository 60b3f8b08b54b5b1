// Package logmux fans log records out to a changing set of handlers. It knows nothing
// of bridge: what is logged, and where to, is the caller's.
package logmux

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
)

// Handler is a [slog.Handler] that fans records out to a changing set of handlers. A
// plugin keeps the logger that it was started with; adding a run's log file redirects
// that plugin's output there for the duration of the run. A Handler may be used from
// several goroutines. A handler in the set must not log itself.
type Handler struct {
	set   *handlerSet
	steps []func(slog.Handler) slog.Handler // what WithAttrs and WithGroup added, in order
}

var _ slog.Handler = (*Handler)(nil)

// handlerSet is shared by a handler and those derived from it.
type handlerSet struct {
	mu       sync.RWMutex
	handlers []*slog.Handler
}

// New returns a handler that passes records to first.
func New(first slog.Handler) *Handler {
	return &Handler{set: &handlerSet{handlers: []*slog.Handler{&first}}}
}

// Add passes records to another handler too, until remove is called. After that the
// handler is no longer in use.
func (h *Handler) Add(other slog.Handler) (remove func()) {
	h.set.mu.Lock()
	defer h.set.mu.Unlock()
	h.set.handlers = append(h.set.handlers, &other)
	return func() {
		h.set.mu.Lock()
		defer h.set.mu.Unlock()
		h.set.handlers = slices.DeleteFunc(h.set.handlers, func(x *slog.Handler) bool { return x == &other })
	}
}

// Enabled implements [slog.Handler].
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	h.set.mu.RLock()
	defer h.set.mu.RUnlock()
	return slices.ContainsFunc(h.set.handlers, func(x *slog.Handler) bool { return (*x).Enabled(ctx, level) })
}

// Handle implements [slog.Handler].
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	h.set.mu.RLock()
	defer h.set.mu.RUnlock()
	var failed error
	for _, x := range h.set.handlers {
		if !(*x).Enabled(ctx, r.Level) {
			continue
		}
		handler := *x
		for _, step := range h.steps {
			handler = step(handler)
		}
		failed = errors.Join(failed, handler.Handle(ctx, r.Clone()))
	}
	return failed
}

// WithAttrs implements [slog.Handler].
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.with(func(x slog.Handler) slog.Handler { return x.WithAttrs(attrs) })
}

// WithGroup implements [slog.Handler].
func (h *Handler) WithGroup(name string) slog.Handler {
	return h.with(func(x slog.Handler) slog.Handler { return x.WithGroup(name) })
}

func (h *Handler) with(step func(slog.Handler) slog.Handler) *Handler {
	return &Handler{set: h.set, steps: append(slices.Clone(h.steps), step)}
}
