package serve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/printable"
	"github.com/modular-bridging/bridge/plugins/host"
	"github.com/modular-bridging/bridge/serve/batch"
	"github.com/modular-bridging/bridge/serve/chat"
	"github.com/modular-bridging/bridge/serve/engine"
)

// retryAfter is when clients are told to try again if the server is full or a model is being
// started again.
const retryAfter = 2 * time.Second

// statusClosed is nginx's status of a request whose client has left. It is for logs: nobody reads
// the answer.
const statusClosed = 499

// explain returns what a client is told about an error. A fault of the server is told without its
// causes, which may name files; the log has them.
func explain(err error) *chat.Error {
	var own *chat.Error
	if errors.As(err, &own) {
		return own
	}
	kind, field := adapters.KindOf(err), fieldOf(err)
	e := &chat.Error{Type: chat.TypeInvalid, Kind: kind.String(), Message: withoutPaths(messageOf(err)), Remedy: withoutPaths(adapters.RemedyOf(err)), Param: chat.Null(field)}
	switch {
	case errors.Is(err, batch.ErrFull):
		e.Status, e.Type, e.RetryAfter = http.StatusTooManyRequests, chat.TypeRateLimit, retryAfter
	case errors.Is(err, context.DeadlineExceeded):
		e.Status, e.Type, e.Code, e.RetryAfter = http.StatusServiceUnavailable, chat.TypeServer, "timeout", retryAfter
		e.Message, e.Remedy = "there was no answer within the server's time limit", "ask for fewer tokens, or try again later"
	case kind == adapters.Canceled:
		e.Status, e.Type = statusClosed, chat.TypeServer
	case kind == adapters.Invalid || kind == adapters.Unsupported:
		e.Status = http.StatusBadRequest
		if field == engine.ContextField {
			e.Code = "context_length_exceeded"
		}
	case kind == adapters.Exhausted:
		e.Status, e.Type, e.RetryAfter = http.StatusServiceUnavailable, chat.TypeServer, retryAfter
	case kind == adapters.Unavailable:
		e.Status, e.Type, e.RetryAfter, e.Remedy = http.StatusServiceUnavailable, chat.TypeServer, retryAfter, "try again"
		if reason := exitOf(err); reason != "" {
			e.Message += ": " + reason
		}
	default:
		e.Status, e.Type, e.Param = http.StatusInternalServerError, chat.TypeServer, ""
		e.Message, e.Remedy = "the server failed to answer", "tell the server's operator; the log has the reason"
	}
	return e
}

// messageOf returns the message of the outermost error of package adapters, without its causes.
func messageOf(err error) string {
	var e *adapters.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	if e.Kind == adapters.Unavailable || e.Op == "" {
		return e.Message
	}
	return e.Op + ": " + e.Message
}

// exitOf says how a plugin's process ended.
func exitOf(err error) string {
	var p *host.ProcessError
	if !errors.As(err, &p) || p.Exit == "" {
		return ""
	}
	return fmt.Sprintf("the process of adapter %s ended (%s)", withoutPaths(p.Plugin), p.Exit)
}

func fieldOf(err error) string {
	var e *adapters.Error
	if errors.As(err, &e) && e.Field == engine.ContextField {
		return e.Field
	}
	return ""
}

// paths match absolute paths of files, on their own or in quotes.
var paths = regexp.MustCompile(`(^|[\s"'(=:])(?:/[^\s"'():,;]+){2,}/?|[A-Za-z]:\\[^\s"'():,;]+`)

// withoutPaths takes paths of this machine out of a message.
func withoutPaths(s string) string { return paths.ReplaceAllString(s, "${1}a file of the server") }

// badPicture returns the error of a picture that cannot be used.
func badPicture(param string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	e := chat.Errorf(param, "%s", withoutPaths(messageOf(err))).WithStatus(http.StatusBadRequest, adapters.KindOf(err)).WithCode("invalid_image")
	if remedy := adapters.RemedyOf(err); remedy != "" {
		e.Remedy = withoutPaths(remedy)
	}
	if adapters.KindOf(err) == adapters.Exhausted {
		e.Status = http.StatusRequestEntityTooLarge
	}
	return e
}

func errNoPath(method, path string) error {
	return chat.Errorf("", "there is no %s %s", method, quoted(path)).WithStatus(http.StatusNotFound, adapters.NotFound).
		WithCode("unknown_url").WithRemedy("GET /openapi.json lists the paths")
}

func errMethod(method, path, allowed string) error {
	return chat.Errorf("", "%s does not take %s", quoted(path), quoted(method)).WithStatus(http.StatusMethodNotAllowed, adapters.Invalid).
		WithCode("method_not_allowed").WithRemedy("use %s", allowed)
}

// quoted returns the beginning of what a client sent, in quotes and ASCII.
func quoted(s string) string { return strconv.QuoteToASCII(printable.Clip(s, 100)) }

// fail answers a request with an error.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := explain(err)
	s.logFailure(r, e, err)
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(e.RetryAfter.Seconds())))
	}
	if e.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	s.writeJSON(w, e.Status, errorBody{e})
}

// errorBody is the JSON of an error.
type errorBody struct {
	Error *chat.Error `json:"error"`
}

// logFailure logs faults of the server as errors, and those of clients as debug messages.
func (s *Server) logFailure(r *http.Request, e *chat.Error, err error) {
	switch {
	case e.Status == statusClosed:
		s.log.Debug("the client has left", "path", r.URL.Path)
	case e.Status >= 500:
		s.log.Error("a request failed", "path", r.URL.Path, "status", e.Status, "request", requestID(r), "error", err)
	default:
		s.log.Debug("a request was refused", "path", r.URL.Path, "status", e.Status, "request", requestID(r), "error", err)
	}
}

func overloaded(message string) *chat.Error {
	e := chat.Errorf("", "%s", message).WithStatus(http.StatusServiceUnavailable, adapters.Exhausted).WithRemedy("try again later")
	e.Type, e.RetryAfter = chat.TypeServer, retryAfter
	return e
}
