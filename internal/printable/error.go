package printable

import (
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// Error returns the text of an error for a terminal, like [Text]. In addition, file names do not
// make new lines: [Name] escapes the paths of the errors in err's tree, and names that the caller
// knows, such as the arguments of a command.
func Error(err error, names ...string) string {
	text := err.Error()
	var parts []string
	for _, path := range append(paths(err), names...) {
		for part := range strings.SplitSeq(path, "/") {
			if strings.Trim(part, "\n\t") != "" && Name(part) != part {
				parts = append(parts, part)
			}
		}
	}
	// The longest first, because one name may be a part of another.
	slices.SortFunc(parts, func(a, b string) int { return len(b) - len(a) })
	for _, part := range parts {
		text = strings.ReplaceAll(text, part, Name(part))
	}
	return Text(text)
}

// paths returns the paths in the tree of an error.
func paths(err error) []string {
	var found []string
	switch e := err.(type) {
	case *fs.PathError:
		found = []string{e.Path}
	case *os.LinkError:
		found = []string{e.Old, e.New}
	case *exec.Error:
		found = []string{e.Name}
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			found = append(found, paths(inner)...)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			found = append(found, paths(inner)...)
		}
	}
	return found
}
