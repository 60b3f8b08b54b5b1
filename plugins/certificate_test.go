package plugins

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
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/modular-bridging/bridge/adapters/adaptertest"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

// serveByHand is a plugin without go-plugin and without a library that makes
// certificates, as in another language: it uses the host's certificate, and
// serves no more than the protocol asks for.
func serveByHand() error {
	if err := holdLifeline(); err != nil {
		return err
	}
	pipe, err := inherited(certificateFDKey)
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
	clients.AppendCertsFromPEM([]byte(os.Getenv("PLUGIN_CLIENT_CERT")))
	path := filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "hand")
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients,
	})))
	pb.RegisterAdapterServer(s, &server{hello: &pb.Hello{Name: "hand", Version: "1"}, families: fakeFamilies("normal"), onLoad: func() {}})
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
	m := openLanguage(t, config(t, "by hand", "language"))
	want, err := adaptertest.NewFakeLanguage("tiny", 1).Loss(t.Context(), lossRequest(true))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := m.Loss(t.Context(), lossRequest(true)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got another loss, or error %v", err)
	}
}
