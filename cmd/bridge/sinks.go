package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
)

// sinks is a [slog.Handler] that gives every record to any number of others,
// which come and go while loggers made of it are in use: a plugin keeps the
// logger that it was started with, and what it says goes into the log of the run
// at hand. It may be used from several goroutines; a sink must not log itself.
type sinks struct {
	set   *sinkSet
	steps []func(slog.Handler) slog.Handler // what WithAttrs and WithGroup added, in order
}

var _ slog.Handler = (*sinks)(nil)

// sinkSet is what a handler and those derived from it share.
type sinkSet struct {
	mu       sync.RWMutex
	handlers []*slog.Handler
}

func newSinks(first slog.Handler) *sinks {
	return &sinks{set: &sinkSet{handlers: []*slog.Handler{&first}}}
}

// add gives records to h too, until remove is called: after it h is not in use.
func (s *sinks) add(h slog.Handler) (remove func()) {
	s.set.mu.Lock()
	defer s.set.mu.Unlock()
	s.set.handlers = append(s.set.handlers, &h)
	return func() {
		s.set.mu.Lock()
		defer s.set.mu.Unlock()
		s.set.handlers = slices.DeleteFunc(s.set.handlers, func(other *slog.Handler) bool { return other == &h })
	}
}

// Enabled implements [slog.Handler].
func (s *sinks) Enabled(ctx context.Context, level slog.Level) bool {
	s.set.mu.RLock()
	defer s.set.mu.RUnlock()
	return slices.ContainsFunc(s.set.handlers, func(h *slog.Handler) bool { return (*h).Enabled(ctx, level) })
}

// Handle implements [slog.Handler].
func (s *sinks) Handle(ctx context.Context, r slog.Record) error {
	s.set.mu.RLock()
	defer s.set.mu.RUnlock()
	var failed error
	for _, h := range s.set.handlers {
		if !(*h).Enabled(ctx, r.Level) {
			continue
		}
		handler := *h
		for _, step := range s.steps {
			handler = step(handler)
		}
		failed = errors.Join(failed, handler.Handle(ctx, r.Clone()))
	}
	return failed
}

// WithAttrs implements [slog.Handler].
func (s *sinks) WithAttrs(attrs []slog.Attr) slog.Handler {
	return s.with(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

// WithGroup implements [slog.Handler].
func (s *sinks) WithGroup(name string) slog.Handler {
	return s.with(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (s *sinks) with(step func(slog.Handler) slog.Handler) *sinks {
	return &sinks{set: s.set, steps: append(slices.Clone(s.steps), step)}
}
