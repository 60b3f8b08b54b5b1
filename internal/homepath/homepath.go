// Package homepath recognises paths that begin with ~. A shell replaces ~ by the user's home
// folder; nothing replaces it in a file, nor behind = in a flag such as --out=~/runs.
package homepath

import (
	"os"
	"path/filepath"
	"strings"
)

// Advice reports whether a path begins with ~ or ~NAME as a folder, and returns what to write
// instead: `"/home/me/pictures"`, in quotes. A folder that is really named ~ can be written as
// ./~.
func Advice(path string) (write string, found bool) {
	first, rest, folder := strings.Cut(filepath.ToSlash(path), "/")
	if !strings.HasPrefix(first, "~") || !folder && first != "~" {
		return "", false
	}
	if home, err := os.UserHomeDir(); err == nil && first == "~" {
		return `"` + filepath.Join(home, filepath.FromSlash(rest)) + `"`, true
	}
	return "the whole path", true
}
