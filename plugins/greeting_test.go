package plugins

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/printable"
	"github.com/modular-bridging/bridge/plugins/internal/identity"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

// wire2 is a second version of the protocol, under another service's name.
type wire2 struct {
	goplugin.NetRPCUnsupportedPlugin
	server pb.AdapterServer
}

func (w *wire2) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	desc := pb.Adapter_ServiceDesc
	desc.ServiceName = "bridge.v2.Adapter"
	s.RegisterService(&desc, w.server)
	return nil
}

func (w *wire2) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return pb.NewAdapterClient(renamed{conn}), nil
}

// renamed sends calls to the second version's service.
type renamed struct{ *grpc.ClientConn }

func (r renamed) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return r.ClientConn.NewStream(ctx, desc, strings.Replace(method, "bridge.v1.", "bridge.v2.", 1), opts...)
}

// fakeVersions speaks the majors that are named, "1 2".
func fakeVersions(list string, server func(version string) pb.AdapterServer) map[int]goplugin.PluginSet {
	all := map[int]goplugin.PluginSet{}
	for _, major := range strings.Fields(list) {
		n, err := strconv.Atoi(major)
		if err != nil {
			panic(err)
		}
		all[n] = goplugin.PluginSet{serviceName: &wire2{server: server(major)}}
		if n == 1 {
			all[n] = versions(server(major))[ProtocolVersion]
		}
	}
	return all
}

// serveVersions is the plugin's side.
func serveVersions(list string) error {
	return serve(func(onLoad func()) (map[int]goplugin.PluginSet, func() error) {
		return fakeVersions(list, func(version string) pb.AdapterServer {
			return &server{hello: &pb.Hello{Name: "fake", Version: "of protocol " + version}, families: fakeFamilies("normal"), onLoad: onLoad}
		}), func() error { return nil }
	})
}

func TestVersionsOfTheProtocolLiveTogether(t *testing.T) {
	for _, c := range []struct {
		host, plugin string
		want         string // the version that both use; empty: refused
		says         []string
	}{
		{host: "1", plugin: "1", want: "1"},
		{host: "1 2", plugin: "1", want: "1"},
		{host: "1 2", plugin: "2", want: "2"},
		{host: "1 2", plugin: "1 2", want: "2"},
		{host: "1", plugin: "1 2 3", want: "1"},
		{host: "1 2", plugin: "2 3", want: "2"},
		{host: "1", plugin: "2", says: []string{"speaks version 2", "this bridge speaks 1", "newer version of bridge", "one that speaks version 2", "older one of plugin fake (this is v0.7)"}},
		{host: "1 2", plugin: "3 4", says: []string{"speaks version 3", "speaks 1 and 2", "newer version of bridge"}},
		{host: "2 3", plugin: "1", says: []string{"speaks version 1", "speaks 2 and 3", "newer version of plugin fake (this is v0.7)", "one that speaks version 3"}},
	} {
		t.Run(c.host+" with "+c.plugin, func(t *testing.T) {
			cfg := config(t, "versions "+c.plugin, "language")
			cfg.Version = "v0.7"
			cfg.versions = fakeVersions(c.host, func(string) pb.AdapterServer { return nil })
			p, err := Launch(t.Context(), cfg)
			if c.want == "" {
				wantError(t, err, adapters.Unsupported, append(c.says, "plugin fake v0.7, rpc start")...)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if got := p.current.version; got != "of protocol "+c.want {
				t.Errorf("the two sides speak %q, want version %s", got, c.want)
			}
			m, err := p.Language()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := m.Loss(t.Context(), lossRequest(false)); err != nil {
				t.Error(err)
			}
		})
	}
}

// goodGreeting returns a line that is accepted.
func goodGreeting(t testing.TB) string {
	t.Helper()
	own, err := identity.New()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(own.Certificate)
	return "1|1|unix|/tmp/p/sock|grpc|" + base64.RawStdEncoding.EncodeToString(block.Bytes)
}

func TestGreetingIsRefused(t *testing.T) {
	good := strings.Split(goodGreeting(t), "|")
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
			_, err := Launch(t.Context(), config(t, "greets "+c.line, "language"))
			wantError(t, err, c.kind, c.says, "plugin fake, rpc start")
		})
	}
	if _, err := parseGreeting(with(5, good[5]+"|true\r\n"), []int{1}, "fake", ""); err != nil {
		t.Errorf("a field of later versions: %v", err)
	}
}

// Lines that are no greetings, though they have bars, go to the log.
func TestNoiseIsNoGreeting(t *testing.T) {
	for _, line := range []string{"", "1", "1|", "12|34|Loading weights", "a|1|unix|/x|grpc|", "epoch|1|2|3", " 1|1|unix|"} {
		if greets.MatchString(line + "\n") {
			t.Errorf("%q is taken for a greeting", line)
		}
	}
}

// said is a process of which only the first line exists.
type said struct {
	runner.Runner
	line string
	end  func()
	dead <-chan struct{}
}

func (s *said) Start(context.Context) error     { return nil }
func (s *said) Wait(context.Context) error      { <-s.dead; return nil }
func (s *said) Kill(context.Context) error      { s.end(); return nil }
func (s *said) Stdout() io.ReadCloser           { return io.NopCloser(strings.NewReader(s.line + "\n")) }
func (s *said) Stderr() io.ReadCloser           { return io.NopCloser(strings.NewReader("")) }
func (s *said) Name() string                    { return "said" }
func (s *said) ID() string                      { return "1" }
func (s *said) Diagnose(context.Context) string { return "" }
func (s *said) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

// readByGoPlugin is the address that go-plugin finds in a line.
func readByGoPlugin(line string) (string, error) {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c := goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig: handshake(), VersionedPlugins: versions(nil), AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		RunnerFunc: func(hclog.Logger, *exec.Cmd, string) (runner.Runner, error) {
			return &said{line: line, end: cancel, dead: ctx.Done()}, nil
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

// FuzzHandshake holds the reading of a plugin's first line to these promises: it
// never panics; what it refuses has a remedy, and a text that moves no terminal; what
// it accepts is what it can be, and go-plugin reads it in the same way.
func FuzzHandshake(f *testing.F) {
	good := goodGreeting(f)
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
		g, err := parseGreeting(line, []int{1}, "fuzzed", "")
		if err != nil {
			var e *adapters.Error
			if !errors.As(err, &e) || e.Remedy == "" || !reflect.DeepEqual(g, greeting{}) && e.Kind == adapters.Unknown {
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

func greetWith(line string) {
	fmt.Println(line)
	time.Sleep(time.Hour)
}
