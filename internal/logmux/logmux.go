// Package logmux passes log records to a changing set of handlers. It has no knowledge of bridge:
// the caller decides what is logged, and where.
package logmux

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
)

// Handler is a [slog.Handler] that passes records to a changing set of handlers. For example, a
// plugin keeps the logger that it was started with; adding a run's log file sends the plugin's
// output also there, for the duration of the run. A Handler is safe for concurrent use. A handler
// in the set must not log itself.
type Handler struct {
	set   *handlerSet
	steps []func(slog.Handler) slog.Handler // calls of WithAttrs and WithGroup, in order
}

var _ slog.Handler = (*Handler)(nil)

// handlerSet is the set that a handler and its derived handlers share.
type handlerSet struct {
	mu       sync.RWMutex
	handlers []*slog.Handler
}

// New returns a handler that passes records to first.
func New(first slog.Handler) *Handler {
	return &Handler{set: &handlerSet{handlers: []*slog.Handler{&first}}}
}

// Add also passes records to other, until remove is called. After remove returns, other is not used
// any more.
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
