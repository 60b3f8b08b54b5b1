package store

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/atomicfile"
	"github.com/modular-bridging/bridge/internal/dirhash"
	"github.com/modular-bridging/bridge/internal/shell"
	"github.com/modular-bridging/bridge/internal/writable"
	"github.com/modular-bridging/bridge/plugins/manifest"
)

// Added is a plugin that was added, with the entries of its folder that were not copied.
type Added struct {
	Plugin
	Excluded []string // paths in the folder, with slashes
}

// Add copies the folder of a plugin that is built to a place, under its own name or another.
// The copy appears as a whole or not at all. Entries that do not belong to the plugin are not
// copied, and links are copied as links. Add refuses folders that others can change, and
// plugins that would run something outside of the copy. accept, if non-nil, is called with
// the plugin as it was read; its error is returned.
func (f Folders) Add(from, name string, place Place, accept func(Snapshot) error) (Added, error) {
	source, err := f.source(from)
	if err != nil {
		return Added{}, err
	}
	if name == "" {
		name = source.Name
	} else if err := manifest.CheckName(name); err != nil {
		return Added{}, err
	}
	to, err := f.freePath(name, place)
	if err != nil {
		return Added{}, err
	}
	now, err := source.Read()
	if err != nil {
		return Added{}, err
	}
	if accept != nil {
		if err := accept(now); err != nil {
			return Added{}, err
		}
	}
	tree := now.tree
	if err := checkRelocatable(source, tree); err != nil {
		return Added{}, err
	}
	err = atomicfile.Dir(to, func(dir string) error {
		if err := copyTree(source.Dir, dir, tree); err != nil {
			return err
		}
		copied, err := dirhash.Read(dir)
		if err == nil && copied.Digest() != tree.Digest() {
			err = adapters.Errorf(adapters.Invalid, "%s changed while it was copied", source.Dir).WithRemedy("try again")
		}
		return err
	})
	if err != nil && place == OfUser {
		err = writable.Explain(err, f.User, "BRIDGE_DATA")
	}
	if err != nil {
		return Added{}, err
	}
	p, err := open(to, name, place)
	return Added{p, tree.Left}, err
}

// source returns the plugin to add.
func (f Folders) source(from string) (Plugin, error) {
	p, err := OpenPath(from)
	if err != nil {
		return p, err
	}
	if p.Dir == "" {
		return p, adapters.Errorf(adapters.Invalid, "%s has no %s next to it", from, manifest.File).
			WithRemedy("write one (docs/trust.md), or name the executable by its path in a recipe")
	}
	return p, p.CheckBuilt()
}

// freePath returns the folder for a plugin of a name, unless there is one already.
func (f Folders) freePath(name string, place Place) (string, error) {
	if f.in(place) == "" {
		return "", adapters.Errorf(adapters.Unsupported, "this system has no data folder for the user").WithRemedy("set BRIDGE_DATA to a folder")
	}
	to := filepath.Join(f.in(place), name)
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return "", adapters.Errorf(adapters.Invalid, "plugin %s already exists, in %s", name, to).
			WithRemedy("remove it first, `bridge plugin remove %s --%s`, or give another name with --name", shell.Word(name), shell.Word(string(place)))
	}
	return to, nil
}

// copyTree copies a tree's entries to an empty folder, with the times of files. Python
// compares them with the times in its compiled files.
func copyTree(from, to string, tree dirhash.Tree) error {
	source, err := os.OpenRoot(from)
	if err != nil {
		return err
	}
	defer source.Close()
	for _, e := range tree.Entries { // a folder comes before what is in it
		name, target := filepath.FromSlash(e.Path), filepath.Join(to, filepath.FromSlash(e.Path))
		switch e.Kind {
		case dirhash.Folder:
			err = os.Mkdir(target, 0o755)
		case dirhash.Link:
			var leads string
			if leads, err = source.Readlink(name); err == nil {
				err = os.Symlink(leads, target)
			}
		default:
			err = copyFile(source, name, target, e.Kind)
		}
		if err != nil {
			return adapters.Errorf(adapters.Unknown, "copying %s: %w", e.Path, err)
		}
	}
	return nil
}

func copyFile(source *os.Root, name, target string, kind dirhash.Kind) error {
	in, err := source.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if kind == dirhash.Exec {
		mode = 0o755
	}
	out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Chmod(mode), out.Sync(), out.Close()); err != nil {
		return err
	}
	return os.Chtimes(target, info.ModTime(), info.ModTime())
}

// inPython matches the files in a virtual environment's folder of packages that Python reads
// when it starts: lists of paths, and the finders of editable installs.
var inPython = regexp.MustCompile(`/site-packages/([^/]+\.pth|__editable__[^/]*\.py)$`)

// checkRelocatable returns an error if a copy of the plugin would still use the original
// folder: a script for an interpreter there, or Python packages that were installed as links
// to their source. A virtual environment can be copied, as long as its interpreter is started
// by its path. The first lines of its other scripts, such as pip, name the old folder, but a
// plugin does not run them.
func checkRelocatable(p Plugin, tree dirhash.Tree) error {
	line, err := firstLine(p.Program)
	if err != nil {
		return err
	}
	if command, ok := strings.CutPrefix(line, "#!"); ok && strings.HasPrefix(strings.TrimSpace(command), p.Dir+"/") {
		return adapters.Errorf(adapters.Invalid, "%s is run by %s, which the copy would still use", p.Program, strings.TrimSpace(command)).
			WithRemedy(`make it a script of /bin/sh: exec "$(dirname "$0")/.venv/bin/python" "$(dirname "$0")/main.py"`)
	}
	for _, e := range tree.Entries {
		if e.Kind != dirhash.File || !inPython.MatchString(e.Path) {
			continue
		}
		path := filepath.Join(p.Dir, filepath.FromSlash(e.Path))
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.Contains(string(text), p.Dir) || strings.HasSuffix(path, ".pth") && namesFolder(string(text)) {
			return adapters.Errorf(adapters.Invalid, "%s names a folder outside the copied one, because a package was installed as a link to its source", path).
				WithRemedy("install the package itself: pip install without -e")
		}
	}
	return nil
}

// namesFolder reports whether a .pth file adds an absolute folder to Python's path.
func namesFolder(pth string) bool {
	for line := range strings.Lines(pth) {
		if filepath.IsAbs(strings.TrimSpace(line)) {
			return true
		}
	}
	return false
}

// firstLine returns the beginning of a file up to the end of its first line.
func firstLine(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	line, err := bufio.NewReader(io.LimitReader(f, 1<<10)).ReadString('\n')
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return line, err
}

// Remove deletes a plugin's folder, or the link to one, and returns its path. Without a place
// it looks in the project first.
func (f Folders) Remove(name string, place Place) (dir string, err error) {
	places := []Place{InProject, OfUser}
	if place != "" {
		places = []Place{place}
	}
	var known, looked []string
	for _, place := range places {
		names, err := f.names(place)
		if err != nil {
			return "", err
		}
		known = append(known, names...)
		looked = append(looked, f.in(place))
		for _, n := range names {
			if n == name {
				dir := filepath.Join(f.in(place), name)
				return dir, remove(dir)
			}
		}
	}
	return "", notFound(name, known, looked)
}

func remove(dir string) error {
	info, err := os.Lstat(dir)
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		err = os.Remove(dir) // the target is an author's project
	} else if err == nil {
		err = os.RemoveAll(dir)
	}
	if err != nil {
		return adapters.Errorf(adapters.Unknown, "%s cannot be removed: %w", dir, err)
	}
	return nil
}
