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
)

// guest is a plugin that the kit has started itself, by plugins/proto/README.md
// and without package plugins' host: it can then break the rules, and look at
// what the host keeps to itself.
type guest struct {
	cmd      *exec.Cmd
	dir      string   // the private folder with the socket
	lifeline *os.File // the host's end
	exited   chan struct{}
	identity *identity.Identity

	greeting greeting
	conn     *grpc.ClientConn
	client   pb.AdapterClient
	spec     *pb.ModelSpec // once it is loaded

	arenas     *arenas // lent to it; nil where there are none
	generation uint64  // of its last call with a lease

	mu     sync.Mutex
	stdout []string // lines other than the handshake
	stderr []string // the last lines
}

// greeting is the handshake line.
type greeting struct {
	core, protocol          int
	network, address, speak string
	certificate             []byte
}

// maxTail is how many lines of either stream are kept, maxLine the bytes of one.
const (
	maxTail = 20
	maxLine = 400
)

// start runs the plugin for a host that speaks the majors, "1" or "1,2". The
// caller ends it with kill.
func start(cfg host.Config, majors string) (*guest, error) { return startWith(cfg, majors, nil) }

// startWith is [start] with arenas that the plugin may use; they end with it.
func startWith(cfg host.Config, majors string, lent *arenas) (g *guest, err error) {
	g = &guest{exited: make(chan struct{}), arenas: lent}
	made := g // what is returned with an error is nil
	if g.dir, err = os.MkdirTemp("", "bridge-kit-"); err != nil {
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
		"BRIDGE_LIFELINE_FD=3", "BRIDGE_SERVER_CERT_FD=4", groupKey+"="+g.dir)
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
		return nil, unrunnable(cfg.Path, err)
	}
	go func() {
		defer pipes[3][1].Close()
		server, err := identity.New()
		if err == nil {
			_, _ = pipes[3][1].Write(server.PEM())
		}
	}()
	var drained sync.WaitGroup
	greeted := make(chan string, 1)
	drained.Go(func() { g.read(pipes[0][0], &g.stdout, greeted) })
	drained.Go(func() { g.read(pipes[1][0], &g.stderr, nil) })
	go func() {
		_ = g.cmd.Wait()
		waitFor(&drained, time.Second) // a grandchild may hold the pipes
		close(g.exited)
	}()
	return g, g.greet(cfg.StartTimeout, greeted)
}

// unrunnable says why a program was not started.
func unrunnable(path string, err error) error {
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

// read keeps the last lines of a stream; the first handshake goes to greeted.
func (g *guest) read(f *os.File, lines *[]string, greeted chan<- string) {
	defer f.Close()
	reader := bufio.NewReaderSize(f, 64<<10)
	for {
		line, err := reader.ReadString('\n')
		if fields := strings.Split(line, "|"); greeted != nil && err == nil && len(fields) >= 5 && number(fields[0]) > 0 {
			greeted <- strings.TrimSpace(line)
			greeted = nil
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

// greet waits for the handshake and connects.
func (g *guest) greet(limit time.Duration, greeted <-chan string) error {
	if limit == 0 {
		limit = 30 * time.Second
	}
	line, err := g.handshake(limit, greeted)
	if err != nil {
		return err
	}
	fields := strings.Split(line, "|")
	g.greeting = greeting{core: number(fields[0]), protocol: number(fields[1]), network: fields[2], address: fields[3], speak: fields[4]}
	if len(fields) > 5 {
		g.greeting.certificate, _ = base64.RawStdEncoding.DecodeString(strings.TrimRight(fields[5], "="))
	}
	return g.connect()
}

// handshake waits for the line as long as the host would: a process that is busy
// has more time.
func (g *guest) handshake(limit time.Duration, greeted <-chan string) (string, error) {
	does := procfs.Watch(g.pid())
	for window := 1; ; window++ {
		select {
		case line := <-greeted:
			return line, nil
		case <-g.exited:
			return "", adapters.Errorf(adapters.Unavailable, "the process ended before the handshake: %s", g.story()).WithRemedy("%s", fixEnded)
		case <-time.After(limit):
			if !does.Busy() || window == 10 {
				return "", adapters.Errorf(adapters.Unavailable, "no handshake after %v: %s", time.Duration(window)*limit, g.story()).WithRemedy("%s", fixSilent)
			}
		}
	}
}

func (g *guest) connect() error {
	certificate, err := x509.ParseCertificate(g.greeting.certificate)
	if err != nil {
		return fmt.Errorf("the handshake has no certificate (the sixth field, DER in base64 without padding): %w", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	g.conn, err = grpc.NewClient(g.greeting.network+":"+g.greeting.address,
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

// maxMessage is what either side of the protocol takes.
const maxMessage = 16 << 20

// loaded is what Load sent before the spec.
type loaded struct {
	hello    *pb.Hello
	first    bool // the hello came before anything else
	progress []*pb.Progress
	failure  *pb.Failure
}

// load runs Load; greeted, where not nil, is called at the hello.
func (g *guest) load(ctx context.Context, req *pb.LoadRequest, greeted func()) (*loaded, error) {
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
			l.hello, l.first = part.Hello, n == 0
			if greeted != nil {
				greeted()
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

// shutdown asks the process to end; the connection may break before it answers.
func (g *guest) shutdown(ctx context.Context) {
	_ = g.conn.Invoke(ctx, "/plugin.GRPCController/Shutdown", &emptypb.Empty{}, &emptypb.Empty{})
}

// ended waits for the process to end.
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

// exit says how the process has ended.
func (g *guest) exit() string {
	if g.cmd == nil || g.cmd.ProcessState == nil {
		return "still running"
	}
	return g.cmd.ProcessState.String()
}

// story says how the process ended, and its last lines.
func (g *guest) story() string {
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

// printed returns the lines on stdout that are no handshake.
func (g *guest) printed() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.stdout...)
}

func (g *guest) pid() int { return g.cmd.Process.Pid }

// kill ends what is left of the process and its group, and its folder.
func (g *guest) kill() {
	if g.conn != nil {
		g.conn.Close()
	}
	if g.cmd != nil && g.cmd.Process != nil {
		_ = syscall.Kill(-g.pid(), syscall.SIGKILL)
		for _, pid := range g.strays() {
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

// groupKey names the variable that marks what a plugin starts.
const groupKey = "BRIDGE_GROUP"

// strays are what the plugin has started and that runs, in its process group or out
// of it, by /proc.
func (g *guest) strays() (pids []int) {
	for pid := range procfs.Marked(groupKey, g.dir) {
		if pid != g.pid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

// descriptors returns what the process has open, by /proc; ok is false where
// there is none.
func (g *guest) descriptors() (n int, ok bool) {
	open, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(g.pid()), "fd"))
	return len(open), err == nil
}

// resident returns the bytes of memory that the process holds, by /proc.
func (g *guest) resident() (bytes int64, ok bool) {
	statm, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(g.pid()), "statm"))
	fields := strings.Fields(string(statm))
	if err != nil || len(fields) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err == nil
}
