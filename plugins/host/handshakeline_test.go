package host

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/printable"
	"github.com/modular-bridging/bridge/plugins/internal/identity"
	"github.com/modular-bridging/bridge/plugins/internal/plugintest"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// validHandshakeLine returns a line that is accepted.
func validHandshakeLine(t testing.TB) string {
	t.Helper()
	own, err := identity.New()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(own.Certificate)
	return "1|1|unix|/tmp/p/sock|grpc|" + base64.RawStdEncoding.EncodeToString(block.Bytes)
}

func TestHandshakeIsRefused(t *testing.T) {
	t.Parallel()
	good := strings.Split(validHandshakeLine(t), "|")
	with := func(i int, field string) string {
		fields := append([]string(nil), good...)
		fields[i] = field
		return strings.Join(fields, "|")
	}
	for name, c := range map[string]struct {
		line string
		kind adapters.Kind
		says string
	}{
		"core too new":         {with(0, "2"), adapters.Unsupported, "version 2 of go-plugin's core protocol, bridge speaks 1"},
		"core too large":       {with(0, "99999999999999999999"), adapters.Internal, "begins with"},
		"version too new":      {with(1, "7"), adapters.Unsupported, "newer version of bridge"},
		"version too old":      {with(1, "0"), adapters.Unsupported, "newer version of plugin fake"},
		"version too large":    {with(1, "99999999999999999999"), adapters.Internal, "99999999999999999999"},
		"ends after versions":  {"1|1|", adapters.Internal, `network ""`},
		"ends after network":   {"1|1|unix", adapters.Internal, `address ""`},
		"another network":      {with(2, "tcp"), adapters.Internal, `network "tcp", want "unix"`},
		"relative address":     {with(3, "sock"), adapters.Internal, `address "sock", want an absolute path`},
		"long address":         {with(3, "/"+strings.Repeat("x", 107)), adapters.Internal, "at most 107 bytes"},
		"net/rpc":              {with(4, "netrpc"), adapters.Unsupported, `speaks "netrpc", want "grpc"`},
		"no transport":         {strings.Join(good[:4], "|"), adapters.Unsupported, `speaks "netrpc"`},
		"no certificate":       {strings.Join(good[:5], "|"), adapters.Internal, "no certificate"},
		"padded certificate":   {with(5, good[5]+"="), adapters.Internal, "base64 without padding"},
		"no certificate at it": {with(5, "QUJD"), adapters.Internal, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Launch(t.Context(), config(t, "print "+c.line, "language"))
			plugintest.WantError(t, err, c.kind, c.says, "plugin fake, rpc start")
		})
	}
	if _, err := parseHandshakeLine(with(5, good[5]+"|true\r\n"), []int{1}, "fake", ""); err != nil {
		t.Errorf("a field of later versions: %v", err)
	}
}

// Lines that are no handshakes, although they have bars, go to the log.
func TestNoiseIsNoHandshake(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"", "1", "1|", "12|34|Loading weights", "a|1|unix|/x|grpc|", "epoch|1|2|3", " 1|1|unix|"} {
		if handshakePattern.MatchString(line + "\n") {
			t.Errorf("%q is taken for a handshake", line)
		}
	}
}

// oneLine is a process of which only the first line exists.
type oneLine struct {
	runner.Runner
	line string
	end  func()
	dead <-chan struct{}
}

func (s *oneLine) Start(context.Context) error     { return nil }
func (s *oneLine) Wait(context.Context) error      { <-s.dead; return nil }
func (s *oneLine) Kill(context.Context) error      { s.end(); return nil }
func (s *oneLine) Stdout() io.ReadCloser           { return io.NopCloser(strings.NewReader(s.line + "\n")) }
func (s *oneLine) Stderr() io.ReadCloser           { return io.NopCloser(strings.NewReader("")) }
func (s *oneLine) Name() string                    { return "one line" }
func (s *oneLine) ID() string                      { return "1" }
func (s *oneLine) Diagnose(context.Context) string { return "" }
func (s *oneLine) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

// readByGoPlugin returns the address that go-plugin finds in a line.
func readByGoPlugin(line string) (string, error) {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c := goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig: wire.Handshake(), VersionedPlugins: wire.Versions(nil), AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		RunnerFunc: func(hclog.Logger, *exec.Cmd, string) (runner.Runner, error) {
			return &oneLine{line: line, end: cancel, dead: ctx.Done()}, nil
		},
		AutoMTLS: true, SkipHostEnv: true, StartTimeout: time.Minute, Logger: hclog.NewNullLogger(),
		UnixSocketConfig: &goplugin.UnixSocketConfig{TempDir: dir},
	})
	address, err := c.Start()
	if err != nil {
		return "", err
	}
	return address.String(), nil
}

// FuzzHandshake checks the parsing of a plugin's first line: it never panics; a refusal has
// a remedy, and a text without characters that a terminal obeys; an accepted line is valid,
// and go-plugin parses it in the same way.
func FuzzHandshake(f *testing.F) {
	good := validHandshakeLine(f)
	f.Add(good)
	f.Add(good + "|true")
	f.Add(strings.Replace(good, "1|1|", "2|1|", 1))
	f.Add("1|1|unix|/x|netrpc|")
	f.Add("1|1|tcp|127.0.0.1:1234|grpc|QUJD")
	f.Add("1|1||||||||")
	address, certificate := strings.Split(good, "|")[3], strings.Split(good, "|")[5]
	for _, lie := range []string{
		"1|2|unix|/x|grpc|" + certificate, "1|0|unix|/x|grpc|" + certificate, "1|-1|unix|/x|grpc|" + certificate, "1|01|unix|/x|grpc|" + certificate,
		"1|9223372036854775808|unix|/x|grpc|" + certificate, "99999999999999999999|1|unix|/x|grpc|" + certificate, "+1|1|unix|/x|grpc|" + certificate,
		"1|1|unix|relative|grpc|" + certificate, "1|1|unix|@abstract|grpc|" + certificate, "1|1|unix||grpc|" + certificate,
		"1|1|unix|/" + strings.Repeat("x", 200) + "|grpc|" + certificate, "1|1|unix|/a\x00b|grpc|" + certificate, "1|1|unix|/\x1b[2J|grpc|" + certificate,
		"1|1|unix|" + address + "|GRPC|" + certificate, "1|1|unix|" + address + "|grpc|" + certificate + "==", "1|1|unix|" + address + "|grpc|" + certificate[1:],
		"1|1|unix|" + address + "|grpc|-_-_", "1|1|unix|" + address + "|grpc|" + certificate + "\r", "1|1|UNIX|" + address + "|grpc|" + certificate,
		"\xff|\xff|\xff", "1", "|", good + "\n" + good, good + strings.Repeat("|", 1000),
	} {
		f.Add(lie)
	}
	f.Fuzz(func(t *testing.T, line string) {
		g, err := parseHandshakeLine(line, []int{1}, "fuzzed", "")
		if err != nil {
			var e *adapters.Error
			if !errors.As(err, &e) || e.Remedy == "" || !reflect.DeepEqual(g, handshakeLine{}) && e.Kind == adapters.Unknown {
				t.Errorf("%q is refused with %v", line, err)
			}
			if text := err.Error(); text != printable.Text(text) {
				t.Errorf("%q is refused with a text that a terminal obeys: %q", line, text)
			}
			return
		}
		if !filepath.IsAbs(g.address) || len(g.address) > maxSocketPath || strings.Count(line, "|") < 5 {
			t.Errorf("%q is accepted, with the address %q", line, g.address)
		}
		if strings.ContainsAny(strings.TrimRight(line, "\r\n"), "\r\n") {
			return // the host reads lines
		}
		address, err := readByGoPlugin(strings.TrimRight(line, "\r\n"))
		if err != nil || address != g.address || g.protocol != 1 {
			t.Errorf("%q has the address %q, go-plugin reads %q, %v", line, g.address, address, err)
		}
	})
}
