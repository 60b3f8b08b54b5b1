package chat

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/modular-bridging/bridge/adapters"
)

// Error is an error as the client sees it: OpenAI's object, with bridge's kind and remedy.
type Error struct {
	Status     int           `json:"-"` // of HTTP
	RetryAfter time.Duration `json:"-"` // 0: repeating does not help

	Message string `json:"message"`
	Type    string `json:"type"`
	Param   Null   `json:"param"` // the wrong part of the request: "messages[0].content"
	Code    Null   `json:"code"`
	Kind    string `json:"kind"`             // that of package adapters, in words
	Remedy  string `json:"remedy,omitempty"` // what to do about it
}

// Null is a text that is null on the wire if it is empty.
type Null string

// MarshalJSON writes the text or null.
func (n Null) MarshalJSON() ([]byte, error) {
	if n == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(n))
}

// Error returns the message and the remedy.
func (e *Error) Error() string {
	s := e.Message
	if e.Remedy != "" {
		s += " (" + e.Remedy + ")"
	}
	return s
}

// The types of errors, which are OpenAI's.
const (
	TypeInvalid        = "invalid_request_error"
	TypeAuthentication = "authentication_error"
	TypeRateLimit      = "rate_limit_error"
	TypeServer         = "server_error"
)

// Errorf returns the error of a request that breaks the rules at param, with status 400.
func Errorf(param, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Type: TypeInvalid, Param: Null(param), Message: fmt.Sprintf(format, args...), Kind: adapters.Invalid.String()}
}

// WithRemedy returns e with advice for the user.
func (e *Error) WithRemedy(format string, args ...any) *Error {
	c := *e
	c.Remedy = fmt.Sprintf(format, args...)
	return &c
}

// WithCode returns e with OpenAI's code of the mistake.
func (e *Error) WithCode(code string) *Error {
	c := *e
	c.Code = Null(code)
	return &c
}

// WithStatus returns e with another HTTP status and kind.
func (e *Error) WithStatus(status int, kind adapters.Kind) *Error {
	c := *e
	c.Status, c.Kind = status, kind.String()
	return &c
}

// unsupported returns the error for something that no bridge can serve.
func unsupported(param, format string, args ...any) *Error {
	return Errorf(param, format, args...).WithStatus(http.StatusBadRequest, adapters.Unsupported).WithCode("unsupported_parameter")
}
