package plugins

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
)

// runnerProcess starts a plugin's process for go-plugin, in a process group of
// its own and holding a lifeline. It replaces go-plugin's own runner, which
// kills one pid only, notices a death no sooner than the last grandchild has
// closed the pipes, and stops reading at a line of 64 KiB.
type runnerProcess struct {
	cfg    *Config
	cmd    *exec.Cmd
	log    *plugLog // for what it prints
	begun  func()   // called when the process runs
	folder string   // private, of the process
	done   chan struct{}

	stdout   io.ReadCloser
	stderr   *drain
	lifeline *os.File      // this end; closing it ends the plugin
	silent   chan struct{} // closed when standard output has ended
	greeted  chan struct{} // closed when it has printed a handshake, be it refused

	mu      sync.Mutex
	refusal error // why its handshake was refused
	verdict verdict
	exit    string // how it ended, once done is closed
	err     error
}

var _ runner.Runner = (*runnerProcess)(nil)

// firstFD is the descriptor of the first of exec.Cmd.ExtraFiles.
const firstFD = 3

// newRunner makes the process that works in a private folder; nothing runs yet.
func newRunner(cfg *Config, private string, log *plugLog, arenas *hostArenas, protocolEnv []string, begun func()) *runnerProcess {
	cmd := exec.Command(cfg.Path, cfg.Args...)
	cmd.Dir = private
	cmd.Env = append(append(cfg.environment(private), protocolEnv...), groupKey+"="+private)
	files, variables := arenas.handOver(firstFD)
	cmd.ExtraFiles, cmd.Env = files, append(cmd.Env, variables...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return &runnerProcess{cfg: cfg, cmd: cmd, log: log, begun: begun, folder: private, done: make(chan struct{}), silent: make(chan struct{}), greeted: make(chan struct{})}
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
	r.inherit(lifelineFDKey, theirLifeline)
	r.inherit(certificateFDKey, theirCertificate)
	if r.stderr, err = newDrain(stderr, r.log); err != nil {
		return err
	}
	if err := r.cfg.StartCommand(r.cmd); err != nil {
		return err
	}
	if r.cfg.Started != nil {
		r.cfg.Started(r.cmd.Process.Pid)
	}
	go func() { // a plugin need not read it
		_, _ = certificate.Write(own.PEM())
		certificate.Close()
	}()
	first, handshake := io.Pipe()
	r.stdout, r.lifeline = first, lifeline
	r.begun()
	go r.filterStdout(stdout, handshake)
	go r.reap()
	go r.watchStart()
	go r.watchMemory(&r.cfg.Limits, r.cfg.Logger)
	return nil
}

// inherit gives the process a file, and its descriptor's number in a variable.
func (r *runnerProcess) inherit(key string, f *os.File) {
	r.cmd.ExtraFiles = append(r.cmd.ExtraFiles, f)
	r.cmd.Env = append(r.cmd.Env, fmt.Sprintf("%s=%d", key, firstFD-1+len(r.cmd.ExtraFiles)))
}

// reap waits for the process, takes down with it its group and what has left that,
// and records how it ended. Its last lines are in the log then.
func (r *runnerProcess) reap() {
	err := r.cmd.Wait()
	r.killGroup()
	killStrays(r.folder)
	r.lifeline.Close()
	r.stderr.catchUp()
	select {
	case <-r.silent:
	case <-time.After(time.Second): // somebody that left the group holds the pipe
	}
	r.stderr.close()
	r.mu.Lock()
	r.err, r.exit = err, "exit status 0"
	if err != nil {
		r.exit = err.Error()
	}
	if r.verdict.reason != "" {
		r.exit = r.verdict.reason
	}
	r.mu.Unlock()
	close(r.done)
}

// catchUp brings the log to where the process is.
func (r *runnerProcess) catchUp() {
	if r.stderr != nil {
		r.stderr.catchUp()
	}
}

// filterStdout gives go-plugin the one line that it must see, or nothing where
// that is refused. What a plugin prints before or after it, whose SDK does not
// protect its standard output, goes to the log.
func (r *runnerProcess) filterStdout(stdout io.ReadCloser, handshake *io.PipeWriter) {
	defer handshake.Close()
	if r.readStdout(stdout, handshake) {
		return
	}
	select { // go-plugin kills who says nothing: first it may say how it ends
	case <-r.done:
	case <-time.After(exitGrace):
		r.condemn(mute())
		<-r.done
	}
}

// readStdout reads to the end, and reports whether a handshake was there.
func (r *runnerProcess) readStdout(stdout io.ReadCloser, handshake *io.PipeWriter) (greeted bool) {
	defer close(r.silent)
	defer stdout.Close()
	reader := bufio.NewReaderSize(stdout, 64<<10)
	for {
		line, err := reader.ReadSlice('\n')
		if greets.Match(line) && err == nil {
			err := r.accept(string(line))
			close(r.greeted)
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

// accept checks the plugin's handshake.
func (r *runnerProcess) accept(line string) error {
	_, err := parseGreeting(line, majors(r.cfg.versions), r.cfg.Name, r.cfg.Version)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refusal = err
	return err
}

// refused returns why the handshake was refused, nil where it was not.
func (r *runnerProcess) refused() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refusal
}

// hasGreeted reports whether it has printed a handshake.
func (r *runnerProcess) hasGreeted() bool {
	select {
	case <-r.greeted:
		return true
	default:
		return false
	}
}

// condemn kills the process and its group, and says why.
func (r *runnerProcess) condemn(v verdict) {
	r.mu.Lock()
	if r.verdict.reason == "" {
		r.verdict = v
	}
	r.mu.Unlock()
	_ = r.Kill(context.Background())
}

// remedy is what to do about a verdict; empty where the process died otherwise.
func (r *runnerProcess) remedy() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.verdict.remedy
}

func (r *runnerProcess) killGroup() {
	_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL)
}

// ended returns how the process ended, and whether it has.
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

// Stdout returns the handshake, then nothing.
func (r *runnerProcess) Stdout() io.ReadCloser { return r.stdout }

// Stderr returns nothing: go-plugin would copy it to the log too late for errors.
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

// Diagnose has nothing to add: the last lines of stderr stand in the error.
func (r *runnerProcess) Diagnose(context.Context) string { return "" }

// PluginToHost leaves addresses as they are.
func (r *runnerProcess) PluginToHost(network, addr string) (string, string, error) {
	return network, addr, nil
}

// HostToPlugin leaves addresses as they are.
func (r *runnerProcess) HostToPlugin(network, addr string) (string, string, error) {
	return network, addr, nil
}
