package conformance

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/execerr"
	"github.com/modular-bridging/bridge/internal/procfs"
	"github.com/modular-bridging/bridge/plugins/host"
	"github.com/modular-bridging/bridge/plugins/internal/identity"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// guest is a plugin that the suite has started itself, as plugins/proto/README.md says and
// without plugins/host, so that it can break the rules and see what that host hides.
type guest struct {
	cmd      *exec.Cmd
	dir      string   // the private folder with the socket
	lifeline *os.File // the host's end
	exited   chan struct{}
	identity *identity.Identity

	handshake handshakeLine
	conn      *grpc.ClientConn
	client    pb.AdapterClient
	spec      *pb.ModelSpec // after the load

	arenas     *arenas // nil if there are none
	generation uint64  // of the last call with a lease

	mu     sync.Mutex
	stdout []string // lines other than the handshake
	stderr []string // the last lines
}

// handshakeLine is a parsed handshake.
type handshakeLine struct {
	core, protocol          int
	network, address, speak string
	certificate             []byte
}

// maxTail is how many lines of each stream are kept, maxLine how many bytes of one.
const (
	maxTail = 20
	maxLine = 400
)

// start starts the plugin for a host that speaks the given major versions, "1" or "1,2".
// The caller ends it with kill.
func start(cfg host.Config, majors string) (*guest, error) { return startWith(cfg, majors, nil) }

// startWith is [start] with arenas that the plugin may use. They are closed with it.
func startWith(cfg host.Config, majors string, lent *arenas) (g *guest, err error) {
	g = &guest{exited: make(chan struct{}), arenas: lent}
	made := g // g is nil after a return with an error
	if g.dir, err = os.MkdirTemp("", "bridge-suite-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			made.kill()
		}
	}()
	if g.identity, err = identity.New(); err != nil {
		return nil, err
	}
	var pipes [4][2]*os.File // stdout, stderr, lifeline, certificate
	for i := range pipes {
		if pipes[i][0], pipes[i][1], err = os.Pipe(); err != nil {
			return nil, err
		}
	}
	theirs := []*os.File{pipes[0][1], pipes[1][1], pipes[2][0], pipes[3][0]}
	g.lifeline = pipes[2][1]
	g.cmd = exec.Command(cfg.Path, cfg.Args...)
	g.cmd.Dir = g.dir
	g.cmd.Env = append(cfg.Environ(g.dir), "PLUGIN_PROTOCOL_VERSIONS="+majors, "PLUGIN_UNIX_SOCKET_DIR="+g.dir,
		"PLUGIN_CLIENT_CERT="+string(g.identity.Certificate),
		"BRIDGE_LIFELINE_FD=3", "BRIDGE_SERVER_CERT_FD=4", wire.GroupKey+"="+g.dir)
	memory, variable := lent.handOver(5)
	g.cmd.Env = append(g.cmd.Env, variable...)
	g.cmd.Stdout, g.cmd.Stderr, g.cmd.ExtraFiles = theirs[0], theirs[1], append(slices.Clone(theirs[2:]), memory...)
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cfg.StartCommand(g.cmd)
	for _, f := range theirs {
		f.Close()
	}
	if err != nil {
		close(g.exited)
		for _, f := range []*os.File{pipes[0][0], pipes[1][0], pipes[3][1]} {
			f.Close()
		}
		return nil, explainStart(cfg.Path, err)
	}
	go func() {
		defer pipes[3][1].Close()
		server, err := identity.New()
		if err == nil {
			_, _ = pipes[3][1].Write(server.PEM())
		}
	}()
	var drained sync.WaitGroup
	handshake := make(chan string, 1)
	drained.Go(func() { g.read(pipes[0][0], &g.stdout, handshake) })
	drained.Go(func() { g.read(pipes[1][0], &g.stderr, nil) })
	go func() {
		_ = g.cmd.Wait()
		waitFor(&drained, time.Second) // a grandchild may hold the pipes open
		close(g.exited)
	}()
	return g, g.connectAfterHandshake(cfg.StartTimeout, handshake)
}

// explainStart returns the reason why a program did not start.
func explainStart(path string, err error) error {
	if fact, remedy := execerr.Explain(path, err); fact != "" {
		return adapters.Errorf(adapters.NotFound, "%s", fact).WithRemedy("%s", remedy)
	}
	return err
}

func waitFor(wg *sync.WaitGroup, limit time.Duration) {
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(limit):
	}
}

// read keeps the last lines of a stream. It sends the first handshake to handshake.
func (g *guest) read(f *os.File, lines *[]string, handshake chan<- string) {
	defer f.Close()
	reader := bufio.NewReaderSize(f, 64<<10)
	for {
		line, err := reader.ReadString('\n')
		if fields := strings.Split(line, "|"); handshake != nil && err == nil && len(fields) >= 5 && number(fields[0]) > 0 {
			handshake <- strings.TrimSpace(line)
			handshake = nil
		} else if line = strings.TrimSpace(line); line != "" {
			g.mu.Lock()
			if *lines = append(*lines, line[:min(len(line), maxLine)]); len(*lines) > maxTail {
				*lines = (*lines)[1:]
			}
			g.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1
	}
	return n
}

// connectAfterHandshake waits for the handshake line and connects.
func (g *guest) connectAfterHandshake(limit time.Duration, handshake <-chan string) error {
	if limit == 0 {
		limit = 30 * time.Second
	}
	line, err := g.awaitHandshake(limit, handshake)
	if err != nil {
		return err
	}
	fields := strings.Split(line, "|")
	g.handshake = handshakeLine{core: number(fields[0]), protocol: number(fields[1]), network: fields[2], address: fields[3], speak: fields[4]}
	if len(fields) > 5 {
		g.handshake.certificate, _ = base64.RawStdEncoding.DecodeString(strings.TrimRight(fields[5], "="))
	}
	return g.connect()
}

// awaitHandshake waits for the handshake line as long as plugins/host does: a busy process
// has more time.
func (g *guest) awaitHandshake(limit time.Duration, handshake <-chan string) (string, error) {
	activity := procfs.Watch(g.pid())
	for window := 1; ; window++ {
		select {
		case line := <-handshake:
			return line, nil
		case <-g.exited:
			return "", adapters.Errorf(adapters.Unavailable, "the process ended before the handshake: %s", g.status()).WithRemedy("%s", fixEnded)
		case <-time.After(limit):
			if activity.Busy() && window < 10 {
				continue
			}
			select {
			case line := <-handshake: // it came during the check
				return line, nil
			default:
				return "", adapters.Errorf(adapters.Unavailable, "no handshake after %v: %s", time.Duration(window)*limit, g.status()).WithRemedy("%s", fixSilent)
			}
		}
	}
}

func (g *guest) connect() error {
	certificate, err := x509.ParseCertificate(g.handshake.certificate)
	if err != nil {
		return fmt.Errorf("the handshake has no certificate (the sixth field, DER in base64 without padding): %w", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	g.conn, err = grpc.NewClient(g.handshake.network+":"+g.handshake.address,
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
			Certificates: []tls.Certificate{g.identity.Pair}, RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12,
		})),
		grpc.WithAuthority("localhost"),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(2*maxMessage)))
	if err != nil {
		return err
	}
	g.client = pb.NewAdapterClient(g.conn)
	return nil
}

// maxMessage bounds a message of either side.
const maxMessage = 16 << 20

// loaded holds the messages that the plugin sent before the spec.
type loaded struct {
	hello      *pb.Hello
	helloFirst bool // the hello came before anything else
	progress   []*pb.Progress
	failure    *pb.Failure
}

// load runs Load. onHello, if non-nil, is called at the hello.
func (g *guest) load(ctx context.Context, req *pb.LoadRequest, onHello func()) (*loaded, error) {
	stream, err := g.client.Load(ctx, req)
	if err != nil {
		return nil, err
	}
	l := &loaded{}
	for n := 0; ; n++ {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return l, fmt.Errorf("load ended without a spec or a failure")
		}
		if err != nil {
			return l, err
		}
		switch part := event.Part.(type) {
		case *pb.LoadEvent_Hello:
			l.hello, l.helloFirst = part.Hello, n == 0
			if onHello != nil {
				onHello()
			}
		case *pb.LoadEvent_Progress:
			l.progress = append(l.progress, part.Progress)
		case *pb.LoadEvent_Failure:
			l.failure = part.Failure
			return l, nil
		case *pb.LoadEvent_Spec:
			g.spec = part.Spec
			return l, nil
		}
	}
}

// shutdown asks the process to end. The connection may break before the answer.
func (g *guest) shutdown(ctx context.Context) {
	_ = g.conn.Invoke(ctx, "/plugin.GRPCController/Shutdown", &emptypb.Empty{}, &emptypb.Empty{})
}

// ended waits for the end of the process, and reports whether it came within the limit.
func (g *guest) ended(limit time.Duration) bool {
	select {
	case <-g.exited:
		return true
	default:
	}
	select {
	case <-g.exited:
		return true
	case <-time.After(limit):
		return false
	}
}

func (g *guest) alive() bool { return !g.ended(0) }

// exit returns how the process has ended.
func (g *guest) exit() string {
	if g.cmd == nil || g.cmd.ProcessState == nil {
		return "still running"
	}
	return g.cmd.ProcessState.String()
}

// status says whether the process runs or how it ended, with its last lines.
func (g *guest) status() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := "it runs"
	if g.ended(0) {
		s = g.exit()
	}
	if len(g.stdout) > 0 {
		s += "; on stdout:\n\t" + strings.Join(g.stdout, "\n\t")
	}
	if len(g.stderr) > 0 {
		s += "; last lines on stderr:\n\t" + strings.Join(g.stderr, "\n\t")
	}
	return s
}

// printed returns the lines on stdout except the handshake.
func (g *guest) printed() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.stdout...)
}

func (g *guest) pid() int { return g.cmd.Process.Pid }

// kill kills the process, its group and its descendants, and removes its folder.
func (g *guest) kill() {
	if g.conn != nil {
		g.conn.Close()
	}
	if g.cmd != nil && g.cmd.Process != nil {
		_ = syscall.Kill(-g.pid(), syscall.SIGKILL)
		for _, pid := range g.descendants() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		<-g.exited
	}
	if g.lifeline != nil {
		g.lifeline.Close()
	}
	g.arenas.close()
	_ = os.RemoveAll(g.dir)
}

// descendants returns the processes that the plugin has started and that run, in its
// process group or out of it. It needs /proc.
func (g *guest) descendants() (pids []int) {
	for pid := range procfs.Marked(wire.GroupKey, g.dir) {
		if pid != g.pid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

// descriptors returns how many files the process has open. ok is false without /proc.
func (g *guest) descriptors() (n int, ok bool) {
	open, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(g.pid()), "fd"))
	return len(open), err == nil
}

// resident returns the resident memory of the process. ok is false without /proc.
func (g *guest) resident() (bytes int64, ok bool) {
	statm, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(g.pid()), "statm"))
	fields := strings.Fields(string(statm))
	if err != nil || len(fields) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err == nil
}
