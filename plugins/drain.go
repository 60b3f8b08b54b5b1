package plugins

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// drain copies what a process prints into a log. Whoever needs its last lines asks
// it to [drain.catchUp]: what the process printed before it failed or died is then
// in the log, without any waiting, since it is in the pipe.
type drain struct {
	pipe *os.File
	raw  syscall.RawConn
	into io.Writer

	mu  sync.Mutex // held while bytes are between pipe and log
	buf []byte
}

// catchUpBytes bounds what is read at once, of a process that prints without end:
// what a pipe can hold is less.
const catchUpBytes = 1 << 20

// newDrain begins to copy. The caller closes it.
func newDrain(pipe *os.File, into io.Writer) (*drain, error) {
	raw, err := pipe.SyscallConn()
	if err != nil {
		return nil, err
	}
	d := &drain{pipe: pipe, raw: raw, into: into, buf: make([]byte, 32<<10)}
	go d.copy()
	return d, nil
}

// copy copies until the end, or until the pipe is closed on this side.
func (d *drain) copy() {
	defer d.pipe.Close()
	for n := 1; n > 0; {
		err := d.raw.Read(func(fd uintptr) (done bool) {
			n, done = d.move(int(fd))
			return done
		})
		if err != nil {
			return
		}
	}
}

// move moves what one read gives. done is false where there is nothing yet; n is 0
// at the end.
func (d *drain) move(fd int) (n int, done bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := unix.Read(fd, d.buf)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return 1, !errors.Is(err, unix.EAGAIN)
	}
	if err != nil {
		return 0, true
	}
	_, _ = d.into.Write(d.buf[:n]) // a log's: it does not fail
	return n, true
}

// catchUp returns when all that was printed before is in the log.
func (d *drain) catchUp() {
	_ = d.raw.Control(func(fd uintptr) {
		for sum, n, done := 0, 0, false; sum < catchUpBytes; sum += n {
			if n, done = d.move(int(fd)); !done || n == 0 {
				return
			}
		}
	})
}

// close ends the copying, also where another process holds the other end.
func (d *drain) close() { d.pipe.Close() }
