package wire

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

// SocketDir is a private folder for the socket of one plugin. In it is the folder that
// the plugin works in. A lock on a file beside the folder marks it as in use. The kernel
// releases the lock however this process ends, and the next process that makes a folder
// removes the folders that are left over.
type SocketDir struct {
	Path string
	lock *os.File
}

// NewSocketDir makes a folder for this host. First it removes the folders of dead hosts
// and ends the plugins that still run in them.
func NewSocketDir() (*SocketDir, error) {
	base, err := socketBase()
	if err != nil {
		return nil, err
	}
	all, err := lockFile(filepath.Join(base, "lock"), os.O_CREATE, unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer all.Close()
	sweep(base)

	path, err := os.MkdirTemp(base, "p")
	if err != nil {
		return nil, err
	}
	lock, err := lockFile(path+".lock", os.O_CREATE, unix.LOCK_EX)
	if err != nil {
		os.Remove(path)
		return nil, err
	}
	d := &SocketDir{Path: path, lock: lock}
	if err := os.Mkdir(d.Work(), 0o700); err != nil {
		d.Remove()
		return nil, err
	}
	return d, nil
}

// Work returns the plugin's working folder, which is also its folder for temporary files.
func (d *SocketDir) Work() string { return filepath.Join(d.Path, "work") }

// Remove deletes the folder and releases its lock.
func (d *SocketDir) Remove() {
	os.RemoveAll(d.Path)
	os.Remove(d.Path + ".lock")
	d.lock.Close()
}

// sweep removes every folder below base whose lock is free, after it has killed the
// processes of the plugin that worked there. The caller holds the lock of base.
func sweep(base string) {
	locks, _ := filepath.Glob(filepath.Join(base, "p*.lock"))
	for _, name := range locks {
		lock, err := lockFile(name, 0, unix.LOCK_EX|unix.LOCK_NB)
		if err != nil {
			continue // in use, or just removed
		}
		d := &SocketDir{Path: strings.TrimSuffix(name, ".lock"), lock: lock}
		KillDescendants(d.Work())
		d.Remove()
	}
}

// lockFile opens a file and locks it. create is 0 or os.O_CREATE.
func lockFile(path string, create, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|create, 0o600)
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

// socketBase returns this user's folder for sockets, which nobody else can enter.
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
