package config

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/bytesize"
	"github.com/modular-bridging/bridge/internal/didyoumean"
	"github.com/modular-bridging/bridge/internal/stricttoml"
	"github.com/modular-bridging/bridge/recipes"
	"github.com/modular-bridging/bridge/registry"
	"github.com/modular-bridging/bridge/serve/chat"
)

// file is the form of the configuration file. docs/serving.md describes the keys.
type file struct {
	Address      string               `toml:"address"`
	Origins      []string             `toml:"origins"`
	PictureHosts []string             `toml:"picture_hosts"`
	Memory       size                 `toml:"memory"`
	Watch        duration             `toml:"watch"`
	WarmUp       bool                 `toml:"warm_up"`
	Keys         keysTable            `toml:"keys"`
	Models       map[string]model     `toml:"models"`
	Templates    map[string]templates `toml:"templates"`
	Limits       limits               `toml:"limits"`
}

type keysTable struct {
	File        string `toml:"file"`
	Environment string `toml:"environment"`
}

type model struct {
	Model         string     `toml:"model"`
	Backend       string     `toml:"backend"`
	Isolation     string     `toml:"isolation"`
	Transport     string     `toml:"transport"`
	DType         string     `toml:"dtype"`
	EncoderPlugin string     `toml:"encoder_plugin"`
	LLMPlugin     string     `toml:"llm_plugin"`
	MemoryLimit   string     `toml:"memory_limit"`
	Devices       *string    `toml:"devices"`
	Threads       int        `toml:"threads"`
	Templates     *templates `toml:"templates"`
}

// templates are [chat.Templates]; a key that is not given keeps its default.
type templates struct {
	System *string `toml:"system"`
	Turn   *string `toml:"turn"`
}

func (t templates) over(d chat.Templates) chat.Templates {
	if t.System != nil {
		d.System = *t.System
	}
	if t.Turn != nil {
		d.Turn = *t.Turn
	}
	return d
}

type limits struct {
	Tokens        int  `toml:"tokens"`
	DefaultTokens int  `toml:"default_tokens"`
	Answers       int  `toml:"answers"`
	Beams         int  `toml:"beams"`
	Messages      int  `toml:"messages"`
	Pictures      int  `toml:"pictures"`
	Text          size `toml:"text"`
	InputTokens   int  `toml:"input_tokens"`
	Stops         int  `toml:"stops"`

	Body        size     `toml:"body"`
	Bodies      size     `toml:"bodies"`
	Pixels      int      `toml:"pixels"`
	Connections int      `toml:"connections"`
	Header      duration `toml:"header_timeout"`
	BodyTime    duration `toml:"body_timeout"`
	Call        duration `toml:"call_timeout"`
	Request     duration `toml:"request_timeout"`
	Write       duration `toml:"write_timeout"`
	Idle        duration `toml:"idle_timeout"`
	Drain       duration `toml:"drain_timeout"`

	Batch int      `toml:"batch"`
	Queue int      `toml:"queue"`
	Fill  duration `toml:"fill"`
}

// duration is a time with a unit: "30s".
type duration struct{ time.Duration }

// UnmarshalText reads a duration.
func (d *duration) UnmarshalText(text []byte) (err error) {
	d.Duration, err = time.ParseDuration(string(text))
	if err != nil || d.Duration < 0 {
		return adapters.Errorf(adapters.Invalid, "is %q, want %s", text, d.Wanted())
	}
	return nil
}

// Wanted says what the type takes.
func (*duration) Wanted() string { return `a time with a unit, such as "30s"` }

// size is a number of bytes with a unit: "20MB".
type size struct{ bytes int64 }

// UnmarshalText reads a size.
func (s *size) UnmarshalText(text []byte) (err error) {
	s.bytes, err = bytesize.Parse(string(text))
	return err
}

// Wanted says what the type takes.
func (*size) Wanted() string { return `a size with a unit, such as "20MB"` }

// Read reads a configuration file over the defaults. All mistakes in it come as one error. Paths in
// it are relative to the working folder.
func Read(path string) (Config, error) {
	doc, err := stricttoml.Read(path)
	if err != nil {
		return Config{}, err
	}
	return decode(doc)
}

func decode(doc *stricttoml.Document) (Config, error) {
	c := Default()
	f := fileOf(c)
	doc.Decode(&f)
	if err := doc.Err(); err != nil {
		return c, err
	}
	f.check(doc)
	if err := doc.Err(); err != nil {
		return c, err
	}
	f.apply(&c)
	if f.Keys.File != "" {
		if err := c.Keys.ReadFile(f.Keys.File); err != nil {
			return c, err
		}
	}
	return c, c.Keys.ReadEnvironment(f.Keys.Environment)
}

// fileOf returns the file that says what a configuration does.
func fileOf(c Config) file {
	l := c.Limits
	return file{
		Address: c.Address, Watch: duration{c.Watch}, WarmUp: c.WarmUp, Keys: keysTable{Environment: KeysVariable},
		Limits: limits{
			Tokens: l.Chat.Tokens, DefaultTokens: l.Chat.DefaultTokens, Answers: l.Chat.Answers, Beams: l.Chat.Beams,
			Messages: l.Chat.Messages, Pictures: l.Chat.Pictures, Text: size{int64(l.Chat.TextBytes)}, Stops: l.Chat.Stops,
			InputTokens: l.InputTokens, Body: size{l.BodyBytes}, Bodies: size{l.BodiesBytes}, Pixels: l.Pixels, Connections: l.Connections,
			Header: duration{l.Header}, BodyTime: duration{l.Body}, Call: duration{l.Call}, Request: duration{l.Request}, Write: duration{l.Write},
			Idle: duration{l.Idle}, Drain: duration{l.Drain}, Batch: l.BatchRows, Queue: l.QueueRows, Fill: duration{l.Fill},
		},
	}
}

// apply writes the file's values into a configuration.
func (f *file) apply(c *Config) {
	c.Address, c.Origins, c.Hosts, c.Memory = f.Address, f.Origins, f.PictureHosts, f.Memory.bytes
	c.Watch, c.WarmUp = f.Watch.Duration, f.WarmUp
	l := f.Limits
	c.Limits = Limits{
		Chat: chat.Limits{Tokens: l.Tokens, DefaultTokens: l.DefaultTokens, Answers: l.Answers, Beams: l.Beams,
			Messages: l.Messages, Pictures: l.Pictures, TextBytes: int(l.Text.bytes), Stops: l.Stops},
		InputTokens: l.InputTokens, BodyBytes: l.Body.bytes, BodiesBytes: l.Bodies.bytes, Pixels: l.Pixels, Connections: l.Connections,
		Header: l.Header.Duration, Body: l.BodyTime.Duration, Call: l.Call.Duration, Request: l.Request.Duration, Write: l.Write.Duration,
		Idle: l.Idle.Duration, Drain: l.Drain.Duration, BatchRows: l.Batch, QueueRows: l.Queue, Fill: l.Fill.Duration,
	}
	c.Templates = map[string]chat.Templates{}
	for kind, t := range f.Templates {
		c.Templates[kind] = t.over(chat.DefaultTemplates())
	}
	for _, name := range slices.Sorted(maps.Keys(f.Models)) {
		m := f.Models[name]
		b := Bridge{Name: name, Model: m.Model, Backend: m.Backend, Isolation: m.Isolation, Transport: m.Transport,
			DType: m.DType, EncoderPlugin: m.EncoderPlugin, LLMPlugin: m.LLMPlugin,
			Processes: recipes.Limits{MemoryLimit: m.MemoryLimit, Devices: m.Devices, Threads: m.Threads}}
		if m.Templates != nil {
			t := m.Templates.over(chat.DefaultTemplates())
			b.Templates = &t
		}
		c.Bridges = append(c.Bridges, b)
	}
}

// check adds what is wrong with the values to the document's problems.
func (f *file) check(doc *stricttoml.Document) {
	for _, o := range f.Origins {
		if u, err := url.Parse(o); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Scheme+"://"+u.Host != o {
			doc.Errorf("origins", "has %q, want an origin such as \"https://chat.example.org\", without a path", o)
		}
	}
	for _, h := range f.PictureHosts {
		if u, err := url.Parse("https://" + h); err != nil || h == "" || u.Host != h || strings.ContainsAny(h, "*@") {
			doc.Errorf("picture_hosts", "has %q, want the name of a host such as \"images.example.org\"", h)
		}
	}
	f.checkModels(doc)
	kinds := []string{string(adapters.DecoderOnly), string(adapters.EncoderDecoder)}
	for kind, t := range f.Templates {
		if !slices.Contains(kinds, kind) {
			doc.Errorf("templates."+kind, "is no kind of language model, want %s%s", strings.Join(kinds, " or "), didyoumean.Hint(kind, kinds))
		}
		if err := t.over(chat.DefaultTemplates()).Check(); err != nil {
			doc.Errorf("templates."+kind, "%v", err)
		}
	}
	f.Limits.check(doc)
}

func (f *file) checkModels(doc *stricttoml.Document) {
	for name, m := range f.Models {
		key := "models." + name
		if m.Model == "" {
			doc.Errorf(key, "has no model, want a run folder, a bridge's folder or kit:stage2 as %s.model", key)
		}
		for _, choice := range []struct {
			key, got string
			want     []string
		}{
			{"isolation", m.Isolation, recipes.Isolations()},
			{"transport", m.Transport, recipes.Transports()},
			{"dtype", m.DType, registry.DTypes()},
		} {
			if choice.got != "" && !slices.Contains(choice.want, choice.got) {
				doc.Errorf(key+"."+choice.key, "is %q, want %s", choice.got, strings.Join(choice.want, " or "))
			}
		}
		if _, err := bytesize.Parse(m.MemoryLimit); m.MemoryLimit != "" && err != nil {
			doc.Errorf(key+".memory_limit", "%v", err)
		}
		if m.Threads < 0 {
			doc.Errorf(key+".threads", "is %d, want at least 0", m.Threads)
		}
		if m.Templates != nil {
			if err := m.Templates.over(chat.DefaultTemplates()).Check(); err != nil {
				doc.Errorf(key+".templates", "%v", err)
			}
		}
	}
}

func (l limits) check(doc *stricttoml.Document) {
	for key, n := range map[string]int{
		"tokens": l.Tokens, "default_tokens": l.DefaultTokens, "answers": l.Answers, "beams": l.Beams, "messages": l.Messages,
		"input_tokens": l.InputTokens, "pixels": l.Pixels, "connections": l.Connections, "batch": l.Batch, "queue": l.Queue,
	} {
		if n < 1 {
			doc.Errorf("limits."+key, "is %d, want at least 1", n)
		}
	}
	for key, n := range map[string]int{"pictures": l.Pictures, "stops": l.Stops} {
		if n < 0 {
			doc.Errorf("limits."+key, "is %d, want at least 0", n)
		}
	}
	for key, d := range map[string]duration{
		"header_timeout": l.Header, "body_timeout": l.BodyTime, "call_timeout": l.Call, "request_timeout": l.Request, "write_timeout": l.Write, "idle_timeout": l.Idle,
	} {
		if d.Duration <= 0 {
			doc.Errorf("limits."+key, "is %v, want a time above 0", d)
		}
	}
	switch {
	case l.DefaultTokens > l.Tokens:
		doc.Errorf("limits.default_tokens", "is %d, want at most limits.tokens, %d", l.DefaultTokens, l.Tokens)
	case l.Body.bytes < 1 || l.Bodies.bytes < l.Body.bytes:
		doc.Errorf("limits.bodies", "is %d bytes, want at least limits.body, %d", l.Bodies.bytes, l.Body.bytes)
	case l.Queue < l.Answers:
		doc.Errorf("limits.queue", "is %d, want at least limits.answers, %d", l.Queue, l.Answers)
	}
}
