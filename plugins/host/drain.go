package host

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// drain copies a process's output into a log. After [drain.catchUp], everything that the
// process printed before it failed or died is in the log. That needs no waiting, because
// the output is in the pipe.
type drain struct {
	pipe *os.File
	raw  syscall.RawConn
	into io.Writer

	mu  sync.Mutex // held while bytes are between pipe and log
	buf []byte
}

// catchUpBytes bounds how much catchUp reads from a process that prints without end. A
// pipe holds less.
const catchUpBytes = 1 << 20

// newDrain starts to copy. The caller closes the drain.
func newDrain(pipe *os.File, into io.Writer) (*drain, error) {
	raw, err := pipe.SyscallConn()
	if err != nil {
		return nil, err
	}
	d := &drain{pipe: pipe, raw: raw, into: into, buf: make([]byte, 32<<10)}
	go d.copy()
	return d, nil
}

// copy copies until the end of the output, or until the pipe is closed on this side.
func (d *drain) copy() {
	defer d.pipe.Close()
	for n := 1; n > 0; {
		err := d.raw.Read(func(fd uintptr) (done bool) {
			n, done = d.readOnce(int(fd))
			return done
		})
		if err != nil {
			return
		}
	}
}

// readOnce moves what one read gives. done is false where there is nothing yet; n is 0
// at the end.
func (d *drain) readOnce(fd int) (n int, done bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := unix.Read(fd, d.buf)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return 1, !errors.Is(err, unix.EAGAIN)
	}
	if err != nil {
		return 0, true
	}
	_, _ = d.into.Write(d.buf[:n]) // a pluginLog, whose Write does not fail
	return n, true
}

// catchUp returns when everything that was printed before is in the log.
func (d *drain) catchUp() {
	_ = d.raw.Control(func(fd uintptr) {
		for sum, n, done := 0, 0, false; sum < catchUpBytes; sum += n {
			if n, done = d.readOnce(int(fd)); !done || n == 0 {
				return
			}
		}
	})
}

// close ends the copying, even if another process holds the other end of the pipe.
func (d *drain) close() { d.pipe.Close() }
