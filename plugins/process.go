package plugins

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/identity"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// serve serves the versions of the protocol in impl to the host that has started the
// process, until the host shuts it down.
//
// go-plugin's test mode is for servers whose callers announce them. It leaves the standard
// streams alone, which go-plugin otherwise sends through gRPC: the last lines of a process that
// dies would be lost. And the handshake can have the certificate that the host has made.
// go-plugin would make one for the curve P-521, which takes longer than the rest of a
// start.
func serve(impl map[int]goplugin.PluginSet) error {
	stdout, err := protectStdout()
	if err != nil {
		return fmt.Errorf("moving the standard output aside: %w", err)
	}
	if err := watchLifeline(); err != nil {
		return err
	}
	certificate, err := serverCertificate()
	if err != nil {
		return err
	}
	config, err := serverTLS(certificate)
	if err != nil {
		return err
	}
	signal.Ignore(os.Interrupt) // the host decides when to stop
	// A write to a host that has ended must not end the process before its group is
	// killed. Notify instead of Ignore, which programs that the plugin starts inherit.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)

	listening := make(chan *goplugin.ReattachConfig, 1)
	go func() { printHandshake(stdout, <-listening, certificate) }()
	goplugin.Serve(&goplugin.ServeConfig{
		VersionedPlugins: impl,
		TLSProvider:      func() (*tls.Config, error) { return config, nil },
		Logger:           hclog.New(&hclog.LoggerOptions{Name: "go-plugin", Level: hclog.Warn, Output: os.Stderr}),
		GRPCServer:       newServer,
		Test:             &goplugin.ServeTestConfig{ReattachConfigCh: listening},
	})
	return nil
}

// newServer returns a gRPC server with the protocol's limit for messages.
func newServer(opts []grpc.ServerOption) *grpc.Server {
	return grpc.NewServer(append(opts, grpc.MaxRecvMsgSize(wire.MaxMessageBytes), grpc.MaxSendMsgSize(wire.MaxMessageBytes))...)
}

// printHandshake prints the handshake line and closes the file.
func printHandshake(stdout *os.File, c *goplugin.ReattachConfig, certificate tls.Certificate) {
	fmt.Fprintf(stdout, "%d|%d|%s|%s|%s|%s\n", goplugin.CoreProtocolVersion, c.ProtocolVersion, c.Addr.Network(), c.Addr.String(), c.Protocol,
		base64.RawStdEncoding.EncodeToString(certificate.Certificate[0]))
	stdout.Close()
}

// serverCertificate returns the certificate that the host has made for the plugin, or a new
// one.
func serverCertificate() (tls.Certificate, error) {
	pipe, err := inheritedFile(wire.CertificateKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	if pipe == nil { // an older host
		own, err := identity.New()
		if err != nil {
			return tls.Certificate{}, err
		}
		return own.Pair, nil
	}
	defer pipe.Close()
	text, err := io.ReadAll(pipe)
	if err == nil {
		var pair tls.Certificate
		if pair, err = tls.X509KeyPair(text, text); err == nil {
			return pair, nil
		}
	}
	return tls.Certificate{}, fmt.Errorf("the certificate in %s: %w", wire.CertificateKey, err)
}

// serverTLS returns a configuration that admits the host alone.
func serverTLS(certificate tls.Certificate) (*tls.Config, error) {
	clients := x509.NewCertPool()
	if !clients.AppendCertsFromPEM([]byte(os.Getenv(wire.ClientCertificateKey))) {
		return nil, adapters.Errorf(adapters.Invalid, "%s holds no certificate", wire.ClientCertificateKey)
	}
	return &tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients, MinVersion: tls.VersionTLS12}, nil
}

// protectStdout returns a copy of file descriptor 1 for the handshake alone, and lets
// descriptor 1 and os.Stdout lead to the standard error. Otherwise the host could take a line
// that a library prints for the handshake, and a long line later would block the process,
// because go-plugin does not read it.
func protectStdout() (*os.File, error) {
	saved, err := unix.FcntlInt(1, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, err
	}
	if err := unix.Dup2(2, 1); err != nil {
		return nil, err
	}
	os.Stdout = os.Stderr
	return os.NewFile(uintptr(saved), "handshake"), nil
}

// watchLifeline ends the process when the host's end of the lifeline closes, which
// happens however the host ends.
func watchLifeline() error {
	pipe, err := inheritedFile(wire.LifelineKey)
	if pipe == nil || err != nil { // a host may pass none
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, pipe)
		fmt.Fprintln(os.Stderr, "the host is gone: the plugin ends")
		wire.KillDescendants(os.Getenv(wire.GroupKey))
		if pid := os.Getpid(); unix.Getpgrp() == pid {
			_ = unix.Kill(-pid, syscall.SIGKILL)
		}
		os.Exit(1)
	}()
	return nil
}

// inheritedFile returns the file whose descriptor an environment variable names, or nil
// if the variable is not set. Programs that the plugin starts do not inherit it.
func inheritedFile(key string) (*os.File, error) {
	value := os.Getenv(key)
	if value == "" {
		return nil, nil
	}
	fd, err := strconv.Atoi(value)
	if err != nil || fd < 3 {
		return nil, adapters.Errorf(adapters.Invalid, "%s is %q, want a file descriptor", key, value)
	}
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), key), nil
}
