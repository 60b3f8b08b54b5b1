package dirhash

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"unicode"
	"unicode/utf8"

	"github.com/modular-bridging/bridge/adapters"
)

// Read reads a folder with its whole content. It returns an error if a user other than this user
// and root can change the folder: it checks the owners and modes of all entries and of the
// folders above. It does not follow links. It refuses links that lead out of the folder, except
// a link to the interpreter of a virtual environment.
func Read(dir string) (Tree, error) {
	return ReadWithout(dir, func(string) Stay { return In })
}

// Stay says whether an entry belongs to a folder.
type Stay int

// The values of Stay.
const (
	In         Stay = iota // part of the folder
	Out                    // excluded
	Unsearched             // excluded, and not searched for code, because programs do not load code from there
)

// ReadWithout is like [Read], but excludes entries that do not belong to the folder, and their
// content. It calls stays for each path, relative to the folder and with slashes, except paths
// in excluded folders.
func ReadWithout(dir string, stays func(path string) Stay) (Tree, error) {
	if err := Trusted(dir); err != nil {
		return Tree{}, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Tree{}, adapters.Errorf(adapters.NotFound, "%s cannot be read: %w", dir, err)
	}
	defer root.Close()
	r := reader{dir: dir, root: root, stays: stays}
	if err := r.walk(); err != nil {
		return Tree{}, err
	}
	if err := r.hash(); err != nil {
		return Tree{}, err
	}
	slices.SortFunc(r.tree.Entries, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	slices.Sort(r.tree.Outside)
	r.tree.Outside = slices.Compact(r.tree.Outside)
	return r.tree, nil
}

type reader struct {
	dir   string
	root  *os.Root // used for every access, so that no access leaves the folder
	stays func(path string) Stay
	tree  Tree
}

// walk lists the entries, without the digests of files.
func (r *reader) walk() error {
	return fs.WalkDir(r.root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if name == "." {
			return r.unreadable(name, err)
		}
		if stay := r.stays(name); stay != In {
			return r.exclude(name, entry, stay)
		}
		if err != nil {
			return r.unreadable(name, err)
		}
		info, err := r.root.Lstat(filepath.FromSlash(name))
		if err != nil {
			return r.unreadable(name, err)
		}
		if err := r.checkEntry(name, info); err != nil {
			return err
		}
		e := Entry{Path: name, Kind: File}
		switch {
		case info.IsDir():
			e.Kind = Folder
		case info.Mode()&fs.ModeSymlink != 0:
			e.Kind = Link
			if e.SHA256, err = r.link(name); err != nil {
				return err
			}
		case info.Mode()&0o100 != 0:
			e.Kind = Exec
		}
		r.tree.Entries = append(r.tree.Entries, e)
		return nil
	})
}

func (r *reader) unreadable(name string, err error) error {
	if err == nil {
		return nil
	}
	return adapters.Errorf(adapters.Invalid, "%s cannot be read: %w", r.at(name), err).
		WithRemedy("give its user the right to read it, or remove it")
}

func (r *reader) at(name string) string { return filepath.Join(r.dir, filepath.FromSlash(name)) }

// checkEntry returns an error if an entry cannot be pinned, or if other users can change it.
func (r *reader) checkEntry(name string, info fs.FileInfo) error {
	if !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return adapters.Errorf(adapters.Invalid, "%s contains the name %q, which is not one line of UTF-8", r.dir, name).WithRemedy("rename it")
	}
	if info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 && !info.IsDir() {
		return adapters.Errorf(adapters.Invalid, "%s is %s: it would run with another user's rights", r.at(name), info.Mode()).
			WithRemedy("chmod ug-s %s", r.at(name))
	}
	if kind := info.Mode().Type(); kind&^(fs.ModeDir|fs.ModeSymlink) != 0 {
		return adapters.Errorf(adapters.Invalid, "%s is neither a file, a folder nor a link (%s)", r.at(name), info.Mode()).WithRemedy("remove it")
	}
	return trusted(r.at(name), info)
}

// interpreter matches the file names of Python interpreters: of the link in the bin folder of a
// virtual environment, and of its target.
var interpreter = regexp.MustCompile(`^(python|pypy|graalpy)[0-9.]*[a-z]?$`)

// link returns the digest of a link's target, and records a target outside the folder.
func (r *reader) link(name string) (string, error) {
	target, err := r.root.Readlink(filepath.FromSlash(name))
	if err != nil {
		return "", r.unreadable(name, err)
	}
	_, err = r.root.Stat(filepath.FromSlash(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // the target is outside
		outside, err := r.outside(name, target)
		if err != nil {
			return "", err
		}
		r.tree.Outside = append(r.tree.Outside, outside)
	}
	return SHA256(strings.NewReader(target))
}

// outside returns the interpreter that a link leads to. Other targets outside the folder are
// errors.
func (r *reader) outside(name, target string) (string, error) {
	environment := path.Dir(path.Dir(name))
	config, err := r.root.Lstat(filepath.FromSlash(path.Join(environment, "pyvenv.cfg")))
	if err != nil || !config.Mode().IsRegular() || path.Base(path.Dir(name)) != "bin" || !interpreter.MatchString(path.Base(name)) {
		return "", adapters.Errorf(adapters.Invalid, "%s is a link out of the folder, to %s, which cannot be pinned", r.at(name), target).
			WithRemedy("put a copy in its place, or a relative link to a file in the folder")
	}
	resolved, err := filepath.EvalSymlinks(r.at(name))
	if err != nil {
		return "", r.unreadable(name, err)
	}
	if info, err := os.Stat(resolved); err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 || !interpreter.MatchString(filepath.Base(resolved)) {
		return "", adapters.Errorf(adapters.Invalid, "%s leads to %s, which is not a Python interpreter", r.at(name), resolved).
			WithRemedy("create the virtual environment again")
	}
	return resolved, Trusted(resolved)
}

// hash computes the digests of the files, several at a time.
func (r *reader) hash() error {
	var group sync.WaitGroup
	errs := make([]error, len(r.tree.Entries))
	tokens := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i := range r.tree.Entries {
		e := &r.tree.Entries[i]
		if e.Kind != File && e.Kind != Exec {
			continue
		}
		tokens <- struct{}{}
		group.Go(func() {
			defer func() { <-tokens }()
			e.SHA256, errs[i] = r.file(e.Path)
		})
	}
	group.Wait()
	return cmp.Or(errs...)
}

// file returns the digest of a file. It returns an error if the path has become something else
// since it was listed.
func (r *reader) file(name string) (string, error) {
	f, err := r.root.OpenFile(filepath.FromSlash(name), os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return "", r.unreadable(name, err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", r.unreadable(name, errors.Join(err, errors.New("it is not a file any more")))
	}
	hex, err := SHA256(f)
	return hex, r.unreadable(name, err)
}
