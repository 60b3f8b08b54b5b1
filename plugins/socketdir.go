package plugins

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxSocketDir leaves room in a socket's address (104 bytes on BSD, 108 on
// Linux) for the names that go-plugin appends.
const maxSocketDir = 60

// socketDir is a private folder for the socket of one plugin, with one in it that
// the plugin works in. It is marked as in
// use by a lock on a file beside it, which the kernel releases however this
// process ends; the next process to make a folder removes those left over.
type socketDir struct {
	path string
	lock *os.File
}

// newSocketDir sweeps the folders of dead hosts and makes one for this host.
func newSocketDir() (*socketDir, error) {
	base, err := socketBase()
	if err != nil {
		return nil, err
	}
	all, err := lockFile(filepath.Join(base, "lock"), unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer all.Close()
	sweep(base)

	path, err := os.MkdirTemp(base, "p")
	if err != nil {
		return nil, err
	}
	lock, err := lockFile(path+".lock", unix.LOCK_EX)
	if err != nil {
		os.Remove(path)
		return nil, err
	}
	d := &socketDir{path: path, lock: lock}
	if err := os.Mkdir(d.work(), 0o700); err != nil {
		d.remove()
		return nil, err
	}
	return d, nil
}

// work returns the folder that the plugin works in, for its temporary files.
func (d *socketDir) work() string { return filepath.Join(d.path, "work") }

// remove deletes the folder and gives up its lock.
func (d *socketDir) remove() {
	os.RemoveAll(d.path)
	os.Remove(d.path + ".lock")
	d.lock.Close()
}

// sweep removes every folder below base whose lock nobody holds, and ends what runs
// of the plugin that worked there. The caller holds the lock of base.
func sweep(base string) {
	locks, _ := filepath.Glob(filepath.Join(base, "p*.lock"))
	for _, name := range locks {
		lock, err := lockFile(name, unix.LOCK_EX|unix.LOCK_NB)
		if err != nil {
			continue // in use
		}
		d := &socketDir{path: strings.TrimSuffix(name, ".lock"), lock: lock}
		killStrays(d.work())
		d.remove()
	}
}

func lockFile(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), how)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return f, nil
}

// socketBase returns the folder of this user, which nobody else can enter.
func socketBase() (string, error) {
	name := fmt.Sprintf("bridge-%d", os.Getuid())
	base := filepath.Join(os.TempDir(), name)
	if len(base) > maxSocketDir-len("/p1234567890") {
		base = filepath.Join("/tmp", name)
	}
	if err := os.Mkdir(base, 0o700); err != nil && !os.IsExist(err) {
		return "", err
	}
	info, err := os.Lstat(base)
	if err != nil {
		return "", err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(stat.Uid) != os.Getuid() || info.Mode().Perm() != 0o700 {
		return "", fmt.Errorf("%s is %s, want a folder of this user with mode 0700: remove it", base, info.Mode())
	}
	return base, nil
}
