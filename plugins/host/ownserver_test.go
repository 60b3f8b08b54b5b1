package host

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
	"github.com/modular-bridging/bridge/plugins/internal/plugintest"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// ownServer is a plugin's end of the protocol without package plugins, as somebody writes
// it in another language. It knows Load and Loss, and no shared memory.
type ownServer struct {
	pb.UnimplementedAdapterServer
	version string
}

func (s *ownServer) model() *adaptertest.FakeLanguage { return adaptertest.NewFakeLanguage("tiny", 1) }

func (s *ownServer) Load(_ *pb.LoadRequest, stream grpc.ServerStreamingServer[pb.LoadEvent]) error {
	hello := &pb.Hello{Name: "fake", Version: s.version}
	if err := stream.Send(&pb.LoadEvent{Part: &pb.LoadEvent_Hello{Hello: hello}}); err != nil {
		return err
	}
	return stream.Send(&pb.LoadEvent{Part: &pb.LoadEvent_Spec{Spec: wire.EncodeLanguageSpec(s.model().Spec())}})
}

func (s *ownServer) Loss(stream grpc.BidiStreamingServer[pb.Call, pb.Reply]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	w := first.GetLoss()
	in, out := &wire.Inbound{}, &wire.Outbound{}
	prompts, err := in.Accept("prompts", w.Prompts)
	if err != nil {
		return err
	}
	if err := in.Receive(func() (*pb.Chunk, error) {
		m, err := stream.Recv()
		return m.GetChunk(), err
	}); err != nil {
		return err
	}
	resp, err := s.model().Loss(stream.Context(), &adapters.LossRequest{Prompts: prompts, Examples: wire.DecodeExamples(w.Examples), Gradient: w.Gradient})
	if err != nil {
		return err
	}
	reply := &pb.LossResponse{Loss: resp.Loss, Tokens: resp.Tokens, Gradient: out.Announce(resp.Gradient)}
	if err := stream.Send(&pb.Reply{Part: &pb.Reply_Loss{Loss: reply}}); err != nil {
		return err
	}
	return out.Deliver(func(c *pb.Chunk) error { return stream.Send(&pb.Reply{Part: &pb.Reply_Chunk{Chunk: c}}) })
}

// inheritedFile returns the file whose descriptor an environment variable names.
func inheritedFile(key string) (*os.File, error) {
	fd, err := strconv.Atoi(os.Getenv(key))
	return os.NewFile(uintptr(fd), key), err
}

// endWithHost ends this process when its host ends.
func endWithHost() error {
	lifeline, err := inheritedFile(wire.LifelineKey)
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, lifeline)
		os.Exit(1)
	}()
	return nil
}

// serveWithoutSDK serves without go-plugin and without a library that makes certificates:
// it uses the host's certificate, and serves no more than the protocol demands.
func serveWithoutSDK() error {
	if err := endWithHost(); err != nil {
		return err
	}
	pipe, err := inheritedFile(wire.CertificateKey)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(pipe) // the host closes its end
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		return err
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM([]byte(os.Getenv(wire.ClientCertificateKey)))
	path := filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "own")
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients,
	})))
	pb.RegisterAdapterServer(s, &ownServer{version: "1"})
	registerShutdown(s)
	fmt.Printf("1|1|unix|%s|grpc|%s\n", path, base64.RawStdEncoding.EncodeToString(pair.Certificate[0]))
	return s.Serve(listener)
}

// registerShutdown serves go-plugin's controller, whose generated code is internal.
func registerShutdown(s *grpc.Server) {
	s.RegisterService(&grpc.ServiceDesc{ServiceName: "plugin.GRPCController", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
		MethodName: "Shutdown",
		Handler: func(any, context.Context, func(any) error, grpc.UnaryServerInterceptor) (any, error) {
			go s.Stop()
			return &emptypb.Empty{}, nil
		},
	}}}, nil)
}

func TestPluginUsesTheHostsCertificate(t *testing.T) {
	t.Parallel()
	m := openLanguage(t, config(t, "own server", "language"))
	want, err := adaptertest.NewFakeLanguage("tiny", 1).Loss(t.Context(), plugintest.LossRequest(true))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := m.Loss(t.Context(), plugintest.LossRequest(true)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got another loss, or error %v", err)
	}
}

// secondVersion is a second version of the protocol, under another service's name.
type secondVersion struct {
	goplugin.NetRPCUnsupportedPlugin
	server pb.AdapterServer
}

func (v *secondVersion) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	desc := pb.Adapter_ServiceDesc
	desc.ServiceName = "bridge.v2.Adapter"
	s.RegisterService(&desc, v.server)
	return nil
}

func (v *secondVersion) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return pb.NewAdapterClient(renamed{conn}), nil
}

// renamed sends calls to the second version's service.
type renamed struct{ *grpc.ClientConn }

func (r renamed) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return r.ClientConn.NewStream(ctx, desc, strings.Replace(method, "bridge.v1.", "bridge.v2.", 1), opts...)
}

// fakeVersions returns the major versions in a list, "1 2".
func fakeVersions(list string) map[int]goplugin.PluginSet {
	all := map[int]goplugin.PluginSet{}
	for _, major := range strings.Fields(list) {
		n, err := strconv.Atoi(major)
		if err != nil {
			panic(err)
		}
		server := &ownServer{version: "of protocol " + major}
		all[n] = goplugin.PluginSet{wire.ServiceName: &secondVersion{server: server}}
		if n == 1 {
			all[n] = wire.Versions(server)[wire.ProtocolVersion]
		}
	}
	return all
}

// serveVersions is the plugin that speaks the versions in a list.
func serveVersions(list string) error {
	if err := endWithHost(); err != nil {
		return err
	}
	goplugin.Serve(&goplugin.ServeConfig{HandshakeConfig: wire.Handshake(), VersionedPlugins: fakeVersions(list), GRPCServer: goplugin.DefaultGRPCServer})
	return nil
}

func TestVersionsOfTheProtocolLiveTogether(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		host, plugin string
		want         string // the version that both use; empty if the host refuses
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
			t.Parallel()
			cfg := config(t, "versions "+c.plugin, "language")
			cfg.Version, cfg.versions = "v0.7", fakeVersions(c.host)
			p, err := Launch(t.Context(), cfg)
			if c.want == "" {
				plugintest.WantError(t, err, adapters.Unsupported, append(c.says, "plugin fake v0.7, rpc start")...)
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
			if _, err := m.Loss(t.Context(), plugintest.LossRequest(false)); err != nil {
				t.Error(err)
			}
		})
	}
}
