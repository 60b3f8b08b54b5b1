package dirhash

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/shell"
)

// Trusted returns an error if a user other than this user and root can change the file or folder
// at path, or can replace it. It checks the owner and mode of path and of every folder above it,
// both for the path as written and for the path with links resolved.
func Trusted(path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	resolved, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return adapters.Errorf(adapters.NotFound, "%s cannot be read: %w", path, err)
	}
	for _, p := range []string{abs, resolved} {
		if err := above(p); err != nil {
			return err
		}
	}
	return nil
}

// above checks p and the folders above it.
func above(p string) error {
	for at := p; ; at = filepath.Dir(at) {
		info, err := os.Lstat(at)
		if err != nil {
			return adapters.Errorf(adapters.NotFound, "%s cannot be read: %w", at, err)
		}
		// In a sticky folder such as /tmp, other users can add entries, but cannot replace those
		// of this user.
		if at == p || !info.IsDir() || info.Mode()&fs.ModeSticky == 0 {
			err = trusted(at, info)
		} else {
			err = owned(at, info)
		}
		if err != nil {
			return err
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

// trusted checks the owner and mode of an entry.
func trusted(at string, info fs.FileInfo) error {
	if err := owned(at, info); err != nil {
		return err
	}
	mode := info.Mode()
	if mode&fs.ModeSymlink != 0 { // the mode of a link has no effect
		return nil
	}
	if mode&0o002 != 0 {
		return open(at, mode, "everybody can", "o-w")
	}
	// A group whose id is the user's id has only that user, by the convention of systems that
	// create such groups.
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && mode&0o020 != 0 && int(stat.Gid) != os.Getuid() {
		return open(at, mode, fmt.Sprintf("group %d can", stat.Gid), "g-w")
	}
	return nil
}

func open(at string, mode fs.FileMode, who, remedy string) error {
	return adapters.Errorf(adapters.Invalid, "%s is %s: %s write to it", at, mode, who).
		WithRemedy("check that it is what you installed, then chmod %s %s", shell.Word(remedy), shell.Path(at))
}

func owned(at string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return adapters.Errorf(adapters.Unsupported, "this system does not report the owner of %s", at)
	}
	if uid := int(stat.Uid); uid != 0 && uid != os.Getuid() {
		return adapters.Errorf(adapters.Invalid, "%s belongs to user %d, who can change it; want user %d or root", at, uid, os.Getuid()).
			WithRemedy("check that it is what you installed, then chown it to yourself")
	}
	return nil
}
