package plugins

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// serve runs the server that build returns, in a version of the protocol that the host
// speaks, too. build gets a function that restores the standard streams after go-plugin
// has replaced them.
func serve(build func(onLoad func()) (map[int]goplugin.PluginSet, func() error)) error {
	if err := protectStdout(); err != nil {
		return fmt.Errorf("moving the standard output aside: %w", err)
	}
	if err := watchLifeline(); err != nil {
		return err
	}
	certificate, err := inheritedFile(wire.CertificateKey)
	if err != nil {
		return err
	}
	if certificate != nil {
		certificate.Close() // go-plugin makes its own
	}
	signal.Ignore(os.Interrupt) // the host decides when to stop
	// A write to a host that has ended must not end the process before its group is
	// killed. Notify instead of Ignore, which programs that the plugin starts inherit.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)

	stderr := os.Stderr
	impl, closeModel := build(sync.OnceFunc(func() {
		// go-plugin sends what is written to its streams through gRPC. If the process
		// dies, the last lines are lost.
		os.Stdout, os.Stderr = stderr, stderr
	}))
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig:  wire.Handshake(),
		VersionedPlugins: impl,
		Logger:           hclog.New(&hclog.LoggerOptions{Name: "go-plugin", Level: hclog.Warn, Output: stderr}),
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, grpc.MaxRecvMsgSize(wire.MaxMessageBytes), grpc.MaxSendMsgSize(wire.MaxMessageBytes))...)
		},
	})
	return closeModel()
}

// protectStdout makes os.Stdout a copy of file descriptor 1 for the handshake alone, and
// lets descriptor 1 lead to the standard error. Otherwise the host could take a line that
// a C library prints for the handshake, and a long line later would block the process,
// because go-plugin does not read it.
func protectStdout() error {
	saved, err := unix.FcntlInt(1, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return err
	}
	if err := unix.Dup2(2, 1); err != nil {
		return err
	}
	os.Stdout = os.NewFile(uintptr(saved), "handshake")
	return nil
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
