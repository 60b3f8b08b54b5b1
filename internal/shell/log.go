package shell

import (
	"context"
	"io"
	"log/slog"
	"sync"

	"github.com/modular-bridging/bridge/internal/printable"
)

// logged is a command in a log record.
type logged string

// Logged returns the attribute of a log record for a command to paste. [NewLogHandler] writes the
// command in a line of its own, without further quotes.
func Logged(command string) slog.Attr { return slog.Any("command", logged(command)) }

// NewLogHandler returns a [slog.TextHandler] that writes the commands of [Logged] under their
// record, and whose text has no control characters.
func NewLogHandler(w io.Writer, o *slog.HandlerOptions) slog.Handler {
	out := &logWriter{w: w}
	return logHandler{slog.NewTextHandler(out, o), out}
}

type logHandler struct {
	slog.Handler
	out *logWriter
}

// WithAttrs implements [slog.Handler].
func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(attrs), h.out}
}

// WithGroup implements [slog.Handler].
func (h logHandler) WithGroup(name string) slog.Handler {
	return logHandler{h.Handler.WithGroup(name), h.out}
}

// Handle implements [slog.Handler].
func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	commands := ""
	kept := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if command, ok := a.Value.Any().(logged); ok {
			commands += "  " + string(command) + "\n"
		} else {
			kept.AddAttrs(a)
		}
		return true
	})
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	h.out.commands = commands
	return h.Handler.Handle(ctx, kept)
}

// logWriter writes a record and its commands at once, so that no other output comes between them.
type logWriter struct {
	mu       sync.Mutex // held while a record is written
	w        io.Writer
	commands string
}

func (l *logWriter) Write(record []byte) (int, error) {
	if _, err := io.WriteString(l.w, printable.Text(string(record))+l.commands); err != nil {
		return 0, err
	}
	return len(record), nil
}
