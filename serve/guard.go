package serve

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/modular-bridging/bridge/adapters"
)

// contextKey is the type of the values of a request's context.
type contextKey int

const (
	tenantKey contextKey = iota
	requestKey
)

// requestID returns the request's id, which the client gets as X-Request-Id.
func requestID(r *http.Request) string {
	id, _ := r.Context().Value(requestKey).(string)
	return id
}

// contentPolicy lets a page load what the server itself serves, and show pictures that the user
// has chosen.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; " +
	"connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// guard wraps all handlers: it sets headers that protect browsers, refuses requests of foreign
// pages, counts requests, and survives panics.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := "req-" + rand.Text()
		r = r.WithContext(context.WithValue(r.Context(), requestKey, id))
		h := w.Header()
		h.Set("X-Request-Id", id)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "geolocation=(), microphone=()")
		if len(r.TransferEncoding) > 0 {
			// net/http hides a Content-Length beside the chunks, and RFC 9112 wants the connection closed then.
			h.Set("Connection", "close")
		}
		recorder := &recorder{ResponseWriter: w}
		began := time.Now()
		s.limitTimes(w)
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler { //nolint:errorlint // it is this value
					panic(p)
				}
				s.log.Error("a handler panicked", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
				if recorder.status == 0 {
					s.fail(recorder, r, adapters.Errorf(adapters.Internal, "panic"))
				}
			}
			s.metrics.request(r, recorder.status, time.Since(began))
		}()
		if err := s.checkHost(r); err != nil {
			s.fail(recorder, r, err)
			return
		}
		if done := s.cors(recorder, r); done {
			return
		}
		next.ServeHTTP(recorder, r)
	})
}

// limitTimes bounds how long a client can hold a connection with one request. The body is read, and
// parts of the answer are written, under limits of their own. Without these ones a client could hold it
// where no handler reads its body, and a deadline of the last request would end this one.
func (s *Server) limitTimes(w http.ResponseWriter) {
	limits, control := s.config.Load().Limits, http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(limits.Body))
	_ = control.SetWriteDeadline(time.Now().Add(limits.Request + limits.Write))
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader remembers the status.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implies status 200.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// writeJSON writes an answer. A client that does not read it in time is cut off.
func (s *Server) writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		s.log.Error("an answer cannot be written as JSON", "error", err)
		status, body = http.StatusInternalServerError, []byte(`{"error":{"message":"the server failed to answer","type":"server_error","param":null,"code":null,"kind":"internal"}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.Header().Set("Cache-Control", "no-store")
	// Before a refusal net/http reads on in a body that no handler has read, up to the body's own limit.
	limits := s.config.Load().Limits
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(limits.Body + limits.Write))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
