package serve

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/serve/chat"
)

// contextKey is the type of the values of a request's context.
type contextKey int

const (
	tenantKey contextKey = iota
	requestKey
)

func withTenant(r *http.Request, tenant string) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), tenantKey, tenant))
}

// tenantOf returns the name of the request's key, or the client's address if there are no keys.
func tenantOf(r *http.Request) string {
	tenant, _ := r.Context().Value(tenantKey).(string)
	return tenant
}

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

// checkHost refuses a request whose Host is no name of this machine if the server listens on
// loopback: a page of the internet can give its own name the address 127.0.0.1, and would then read
// the answers.
func (s *Server) checkHost(r *http.Request) error {
	c := s.config.Load()
	if !c.Loopback() || c.Keys.Required() {
		return nil
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() || strings.EqualFold(host, "localhost") || strings.HasSuffix(strings.ToLower(host), ".localhost") {
		return nil
	}
	return chat.Errorf("", "the request is for host %s, and the server answers on this machine alone", quoted(r.Host)).
		WithStatus(http.StatusForbidden, adapters.Invalid).WithRemedy("use http://localhost or http://127.0.0.1; to serve under another name, set keys")
}

// cors lets the pages of listed origins read answers, and refuses requests of other pages. It
// answers preflight requests itself.
func (s *Server) cors(w http.ResponseWriter, r *http.Request) (done bool) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	listed := slices.Contains(s.config.Load().Origins, origin)
	if !listed && !sameOrigin(origin, r) {
		s.fail(w, r, chat.Errorf("", "pages of %s may not use this server", quoted(origin)).WithStatus(http.StatusForbidden, adapters.Invalid).
			WithRemedy("who runs the server can list the origin in its configuration, as origins"))
		return true
	}
	if listed {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", "X-Request-Id, Retry-After")
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	}
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", allowedHeaders(r.Header.Get("Access-Control-Request-Headers")))
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// allowedHeaders returns those of the headers that a page wants to send which the server accepts:
// OpenAI's client for browsers sends x-stainless-… with facts about itself.
func allowedHeaders(wanted string) string {
	allowed := []string{"authorization", "content-type"}
	for name := range strings.SplitSeq(strings.ToLower(wanted), ",") {
		name = strings.TrimSpace(name)
		if strings.HasPrefix(name, "x-stainless-") && len(name) < 64 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz-") == "" {
			allowed = append(allowed, name)
		}
	}
	return strings.Join(allowed, ", ")
}

// sameOrigin reports whether a page is the server's own.
func sameOrigin(origin string, r *http.Request) bool {
	scheme, host, ok := strings.Cut(origin, "://")
	return ok && (scheme == "http" || scheme == "https") && strings.EqualFold(host, r.Host)
}

// authenticate returns whose request it is. A server without keys ignores those that clients send.
func (s *Server) authenticate(r *http.Request) (tenant string, err error) {
	keys := s.config.Load().Keys
	if !keys.Required() {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			host = r.RemoteAddr
		}
		return host, nil
	}
	scheme, sent, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || strings.TrimSpace(sent) == "" {
		return "", unauthorized("the request has no API key").WithRemedy("send the header Authorization: Bearer KEY")
	}
	name, ok := keys.Name(strings.TrimSpace(sent))
	if !ok {
		return "", unauthorized("the API key is not one of this server's").WithRemedy("check the key")
	}
	return name, nil
}

func unauthorized(message string) *chat.Error {
	e := chat.Errorf("", "%s", message).WithStatus(http.StatusUnauthorized, adapters.Invalid).WithCode("invalid_api_key")
	e.Type = chat.TypeAuthentication
	return e
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

func overloaded(message string) *chat.Error {
	e := chat.Errorf("", "%s", message).WithStatus(http.StatusServiceUnavailable, adapters.Exhausted).WithRemedy("try again later")
	e.Type, e.RetryAfter = chat.TypeServer, retryAfter
	return e
}

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
