// Package config owns the settings of `bridge serve`: the defaults, the strict TOML file, and the
// keys. It opens no model.
package config

import (
	"net"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/serve/chat"
)

// Config are the settings of a server. [Default] returns usable ones.
type Config struct {
	Address string   // host:port
	Origins []string // of browser front ends: "https://chat.example.org"
	Bridges []Bridge
	Keys    Keys
	Hosts   []string      // from which pictures are fetched; empty: none
	Memory  int64         // budget for the open bridges in bytes; 0 is no limit
	Watch   time.Duration // between looks at the bridges' files; 0 never looks
	WarmUp  bool          // answer once with each bridge before the server is announced
	Limits  Limits
	// Templates replace those of a kind of language model.
	Templates map[string]chat.Templates
}

// Bridge is a bridge to serve.
type Bridge struct {
	Name  string
	Model string // a MODEL of the command line

	Backend, Isolation, Transport, DType string
	EncoderPlugin, LLMPlugin             string
	Processes                            recipes.Limits  // of the processes of its frozen models
	Templates                            *chat.Templates // nil: those of the language model's kind
}

// Limits bound what clients may ask for and hold.
type Limits struct {
	Chat chat.Limits

	InputTokens int           // of a conversation, soft prompts included
	BodyBytes   int64         // of one request
	BodiesBytes int64         // of all requests that are being read or answered
	Pixels      int           // of one picture
	Header      time.Duration // to send a request's header
	Body        time.Duration // to send a request's body
	Call        time.Duration // for a call of a frozen model's process; one that takes longer hangs
	Request     time.Duration // to answer a request, waiting included
	Write       time.Duration // a client may take to read a part of an answer
	Idle        time.Duration // between two requests on a connection
	Drain       time.Duration // to finish requests when the server is told to stop
	Connections int

	BatchRows int           // answers that are computed together
	QueueRows int           // answers that may wait for one language model
	Fill      time.Duration // that a busy model waits at most for a fuller batch
}

// Default returns the settings of a server that nothing configures.
func Default() Config {
	return Config{
		Address: "127.0.0.1:8000",
		Watch:   10 * time.Second,
		WarmUp:  true,
		Limits: Limits{
			Chat: chat.DefaultLimits(), InputTokens: 2048, BodyBytes: 20 << 20, BodiesBytes: 256 << 20, Pixels: 50_000_000,
			Header: 5 * time.Second, Body: 30 * time.Second, Call: 90 * time.Second, Request: 2 * time.Minute, Write: 10 * time.Second,
			Idle: time.Minute, Drain: 30 * time.Second, Connections: 512,
			BatchRows: 32, QueueRows: 256, Fill: 50 * time.Millisecond,
		},
	}
}

// Loopback reports whether only this machine can reach the server.
func (c Config) Loopback() bool {
	host, _, err := net.SplitHostPort(c.Address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// CheckAddress returns an error for an address that other machines reach if there are no keys.
func (c Config) CheckAddress() error {
	if _, _, err := net.SplitHostPort(c.Address); err != nil {
		return adapters.Errorf(adapters.Invalid, "the address is %q, want HOST:PORT such as 127.0.0.1:8000: %v", c.Address, err)
	}
	if c.Loopback() || c.Keys.Required() {
		return nil
	}
	return adapters.Errorf(adapters.Invalid, "other machines reach the address %s, and the server has no API keys", c.Address).
		WithRemedy("set %s or keys.file in the configuration, or serve on 127.0.0.1", KeysVariable)
}
