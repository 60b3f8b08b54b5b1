package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin/runner"

	"github.com/modular-bridging/bridge/plugins/internal/identity"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// runnerProcess runs a plugin's process for go-plugin, with a lifeline and as the leader of
// a process group. It replaces go-plugin's own runner, which kills only one process,
// notices a death only when the last grandchild has closed the pipes, and stops reading at
// a line of 64 KiB.
type runnerProcess struct {
	cfg     *Config
	cmd     *exec.Cmd
	log     *pluginLog // for its output
	onStart func()     // called when the process runs
	folder  string     // the process's private folder
	done    chan struct{}

	stdout        io.ReadCloser
	stderr        *drain
	lifeline      *os.File      // the host's end; closing it ends the plugin
	stdoutClosed  chan struct{} // closed at the end of standard output
	handshakeDone chan struct{} // closed when the process has printed a handshake, valid or not

	mu           sync.Mutex
	handshakeErr error // why the handshake was refused
	killed       killReason
	exit         string // how the process ended; set before done is closed
	err          error
}

var _ runner.Runner = (*runnerProcess)(nil)

// firstFD is the descriptor of the first of exec.Cmd.ExtraFiles.
const firstFD = 3

// newRunner returns a process that will work in a private folder. Start starts it.
func newRunner(cfg *Config, private string, log *pluginLog, arenas *arenas, protocolEnv []string, onStart func()) *runnerProcess {
	cmd := exec.Command(cfg.Path, cfg.Args...)
	cmd.Dir = private
	cmd.Env = append(append(cfg.environment(private), protocolEnv...), wire.GroupKey+"="+private)
	files, variables := arenas.childFiles(firstFD)
	cmd.ExtraFiles, cmd.Env = files, append(cmd.Env, variables...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return &runnerProcess{cfg: cfg, cmd: cmd, log: log, onStart: onStart, folder: private, done: make(chan struct{}), stdoutClosed: make(chan struct{}), handshakeDone: make(chan struct{})}
}

// Start starts the process.
func (r *runnerProcess) Start(context.Context) (err error) {
	var ours, theirs []*os.File
	defer func() {
		for _, f := range theirs {
			f.Close()
		}
		if err != nil {
			for _, f := range ours {
				f.Close()
			}
		}
	}()
	pair := func() (read, write *os.File) {
		if err == nil {
			read, write, err = os.Pipe()
		}
		return read, write
	}
	stdout, theirStdout := pair()
	stderr, theirStderr := pair()
	theirLifeline, lifeline := pair()
	theirCertificate, certificate := pair()
	ours = []*os.File{stdout, stderr, lifeline, certificate}
	theirs = []*os.File{theirStdout, theirStderr, theirLifeline, theirCertificate}
	if err != nil {
		return err
	}
	own, err := identity.New()
	if err != nil {
		return err
	}
	r.cmd.Stdout, r.cmd.Stderr = theirStdout, theirStderr
	r.inherit(wire.LifelineKey, theirLifeline)
	r.inherit(wire.CertificateKey, theirCertificate)
	if r.stderr, err = newDrain(stderr, r.log); err != nil {
		return err
	}
	if err := r.cfg.StartCommand(r.cmd); err != nil {
		return err
	}
	if r.cfg.Started != nil {
		r.cfg.Started(r.cmd.Process.Pid)
	}
	go func() { // the plugin may never read it
		_, _ = certificate.Write(own.PEM())
		certificate.Close()
	}()
	first, handshake := io.Pipe()
	r.stdout, r.lifeline = first, lifeline
	r.onStart()
	go r.filterStdout(stdout, handshake)
	go r.reap()
	go r.watchStartTimeout()
	go r.watchMemory(&r.cfg.Limits, r.cfg.Logger)
	return nil
}

// inherit passes a file to the process, and the number of its descriptor in a variable.
func (r *runnerProcess) inherit(key string, f *os.File) {
	r.cmd.ExtraFiles = append(r.cmd.ExtraFiles, f)
	r.cmd.Env = append(r.cmd.Env, fmt.Sprintf("%s=%d", key, firstFD-1+len(r.cmd.ExtraFiles)))
}

// reap waits for the end of the process, kills its group and the descendants that have
// left the group, and records how the process ended. Its last lines are in the log before
// done is closed.
func (r *runnerProcess) reap() {
	err := r.cmd.Wait()
	r.killGroup()
	wire.KillDescendants(r.folder)
	r.lifeline.Close()
	r.stderr.catchUp()
	select {
	case <-r.stdoutClosed:
	case <-time.After(time.Second): // a process that was not found holds the pipe
	}
	r.stderr.close()
	r.mu.Lock()
	r.err, r.exit = err, "exit status 0"
	if err != nil {
		r.exit = err.Error()
	}
	if r.killed.text != "" {
		r.exit = r.killed.text
	}
	r.mu.Unlock()
	close(r.done)
}

// catchUp logs everything that the process has printed so far.
func (r *runnerProcess) catchUp() {
	if r.stderr != nil {
		r.stderr.catchUp()
	}
}

// filterStdout passes the handshake line to go-plugin, or nothing if the line is refused.
// Other lines on the standard output go to the log: the plugin's SDK may not redirect it.
func (r *runnerProcess) filterStdout(stdout io.ReadCloser, handshake *io.PipeWriter) {
	defer handshake.Close()
	if r.readStdout(stdout, handshake) {
		return
	}
	select { // go-plugin kills a plugin without a handshake; first, the process may end by itself
	case <-r.done:
	case <-time.After(exitGrace):
		r.kill(closedStdout())
		<-r.done
	}
}

// readStdout reads to the end, and reports whether it has found a handshake.
func (r *runnerProcess) readStdout(stdout io.ReadCloser, handshake *io.PipeWriter) (found bool) {
	defer close(r.stdoutClosed)
	defer stdout.Close()
	reader := bufio.NewReaderSize(stdout, 64<<10)
	for {
		line, err := reader.ReadSlice('\n')
		if handshakePattern.Match(line) && err == nil {
			err := r.checkHandshake(string(line))
			close(r.handshakeDone)
			if err == nil {
				_, _ = handshake.Write(line)
			}
			handshake.Close()
			break
		}
		_, _ = r.log.Write(line)
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return false
		}
	}
	_, _ = io.Copy(r.log, reader)
	return true
}

// checkHandshake checks the plugin's handshake and records what is wrong with it.
func (r *runnerProcess) checkHandshake(line string) error {
	_, err := parseHandshakeLine(line, wire.Majors(r.cfg.versions), r.cfg.Name, r.cfg.Version)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.handshakeErr = err
	return err
}

// handshakeError returns why the handshake was refused, or nil.
func (r *runnerProcess) handshakeError() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.handshakeErr
}

// hasHandshake reports whether the process has printed a handshake.
func (r *runnerProcess) hasHandshake() bool {
	select {
	case <-r.handshakeDone:
		return true
	default:
		return false
	}
}

// kill kills the process and its group for a reason, which becomes its exit.
func (r *runnerProcess) kill(reason killReason) {
	r.mu.Lock()
	if r.killed.text == "" {
		r.killed = reason
	}
	r.mu.Unlock()
	_ = r.Kill(context.Background())
}

// remedy says what to do about a process that bridge has killed; else it is empty.
func (r *runnerProcess) remedy() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.killed.remedy
}

// killGroup kills the process and its group.
func (r *runnerProcess) killGroup() {
	_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL)
}

// ended returns whether and how the process has ended.
func (r *runnerProcess) ended() (string, bool) {
	select {
	case <-r.done:
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.exit, true
	default:
		return "", false
	}
}

// Wait waits for the end of the process.
func (r *runnerProcess) Wait(ctx context.Context) error {
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Kill ends the process and its group at once.
func (r *runnerProcess) Kill(context.Context) error {
	if r.cmd.Process == nil { // not started
		return nil
	}
	if _, ended := r.ended(); !ended {
		r.killGroup()
	}
	return nil
}

// Stdout returns a stream with only the handshake.
func (r *runnerProcess) Stdout() io.ReadCloser { return r.stdout }

// Stderr returns an empty stream: go-plugin would copy the lines to the log too late for
// errors.
func (r *runnerProcess) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Name returns the executable.
func (r *runnerProcess) Name() string { return r.cmd.Path }

// ID returns the process id.
func (r *runnerProcess) ID() string {
	if r.cmd.Process == nil {
		return ""
	}
	return strconv.Itoa(r.cmd.Process.Pid)
}

// Diagnose returns nothing: errors have the last lines on stderr.
func (r *runnerProcess) Diagnose(context.Context) string { return "" }

// PluginToHost returns the address.
func (r *runnerProcess) PluginToHost(network, addr string) (string, string, error) {
	return network, addr, nil
}

// HostToPlugin returns the address.
func (r *runnerProcess) HostToPlugin(network, addr string) (string, string, error) {
	return network, addr, nil
}
