package dirhash

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// leave notes what is left out, and the code in it. A folder is not read further.
func (r *reader) leave(name string, entry fs.DirEntry, stay Stay) error {
	r.tree.Left = append(r.tree.Left, name)
	if stay == Out {
		code, err := name, error(nil)
		if entry.Type()&fs.ModeSymlink == 0 { // a link, which is not followed, is code
			if code, err = r.code(name); err != nil {
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

// code returns the first entry at or below a path that is code, empty where there
// is none.
func (r *reader) code(name string) (found string, err error) {
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

// library is how libraries of the system's linker are called: libx.so, libx.so.1.
var library = regexp.MustCompile(`\.(so(\.[0-9]+)*|dylib|dll)$`)

// isCode reports whether something could run or import a file by what it is: a
// program, a library, a module of Python, or a link, which may lead to one.
func isCode(name string, mode fs.FileMode) bool {
	if mode&fs.ModeSymlink != 0 || mode.IsRegular() && mode&0o111 != 0 {
		return true
	}
	python := []string{".py", ".pyc", ".pyo", ".pyd", ".pyi", ".pth", ".pyw", ".egg", ".whl"}
	return slices.Contains(python, strings.ToLower(path.Ext(name))) || library.MatchString(strings.ToLower(name))
}
