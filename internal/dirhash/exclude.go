package dirhash

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// exclude records an excluded entry, and code in it. It skips the content of an excluded folder.
func (r *reader) exclude(name string, entry fs.DirEntry, stay Stay) error {
	r.tree.Left = append(r.tree.Left, name)
	if stay == Out {
		code, err := name, error(nil)
		if entry.Type()&fs.ModeSymlink == 0 { // links are not followed; they count as code
			if code, err = r.findCode(name); err != nil {
				return r.unreadable(name, err)
			}
		}
		if code != "" {
			r.tree.Code = append(r.tree.Code, code)
		}
	}
	if entry.IsDir() {
		return fs.SkipDir
	}
	return nil
}

// findCode returns the first entry at or below a path that is code, or "" if there is none.
func (r *reader) findCode(name string) (found string, err error) {
	err = fs.WalkDir(r.root.FS(), name, func(at string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if isCode(at, info.Mode()) {
			found = at
			return fs.SkipAll
		}
		return nil
	})
	return found, err
}

// library matches the file names of shared libraries: libx.so, libx.so.1.
var library = regexp.MustCompile(`\.(so(\.[0-9]+)*|dylib|dll)$`)

// isCode reports whether a program could run or import a file: an executable, a shared library, a
// Python module, or a link, which can lead to one of them.
func isCode(name string, mode fs.FileMode) bool {
	if mode&fs.ModeSymlink != 0 || mode.IsRegular() && mode&0o111 != 0 {
		return true
	}
	python := []string{".py", ".pyc", ".pyo", ".pyd", ".pyi", ".pth", ".pyw", ".egg", ".whl"}
	return slices.Contains(python, strings.ToLower(path.Ext(name))) || library.MatchString(strings.ToLower(name))
}
