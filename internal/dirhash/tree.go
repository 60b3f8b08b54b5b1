// Package dirhash reads a folder whole, so that it can be pinned: any change
// of what is in it changes its digest.
//
// What counts is what decides how a program in the folder behaves: the paths,
// what each is, the content of files, whether they can be executed, and where
// links lead. Times, owners and the other bits of modes do not, so that copies and
// checkouts of a folder have one digest. [Read] refuses a folder that somebody
// else than its user can change.
//
// # The digest
//
// It is the SHA-256 of a list with a line for each entry, in the order of the
// paths' bytes:
//
//	dir - PATH
//	file SHA256 PATH
//	exec SHA256 PATH
//	link SHA256 PATH
//
// with "exec" for a file that its owner may execute, and for a link the SHA-256 of
// its target's text. The lines end in "\n", which no path holds. What [ReadWithout]
// leaves out is not in the list.
package dirhash

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"maps"
	"slices"
	"strings"
)

// Prefix begins every digest: the list's format, and the hash.
const Prefix = "tree1-sha256:"

// Kind says what an entry is.
type Kind string

// The kinds, as the list calls them.
const (
	Folder Kind = "dir"
	File   Kind = "file"
	Exec   Kind = "exec" // a file that its owner may execute
	Link   Kind = "link"
)

// Entry is a file, folder or link in a tree.
type Entry struct {
	Path   string // from the tree's root, with slashes
	Kind   Kind
	SHA256 string // of a file's content or a link's target, 64 hex digits; empty for a folder
}

// Tree is a folder as it was read.
type Tree struct {
	Entries []Entry // in the order of the paths' bytes
	// Left are the entries that were left out, and Code what of them something could
	// run or import: neither is part of the digest.
	Left, Code []string
	// Outside are the programs that links in the tree lead to: interpreters of
	// virtual environments. They belong to the system, and are not part of the
	// digest.
	Outside []string
}

// Digest returns the digest of everything but the entries at the root that are
// named.
func (t Tree) Digest(without ...string) string {
	h := sha256.New()
	for _, e := range t.Entries {
		if !slices.Contains(without, top(e.Path)) {
			e.write(h)
		}
	}
	return sum(h)
}

// Parts returns the digest of each entry at the root with what is in it, by name,
// so that what changed can be named.
func (t Tree) Parts() map[string]string {
	hashes := map[string]hash.Hash{}
	for _, e := range t.Entries {
		h, ok := hashes[top(e.Path)]
		if !ok {
			h = sha256.New()
			hashes[top(e.Path)] = h
		}
		e.write(h)
	}
	parts := map[string]string{}
	for name, h := range hashes {
		parts[name] = sum(h)
	}
	return parts
}

// Find returns the entry at a path.
func (t Tree) Find(path string) (Entry, bool) {
	i, ok := slices.BinarySearchFunc(t.Entries, path, func(e Entry, path string) int { return strings.Compare(e.Path, path) })
	if !ok {
		return Entry{}, false
	}
	return t.Entries[i], true
}

func (e Entry) write(h hash.Hash) {
	digest := e.SHA256
	if digest == "" {
		digest = "-"
	}
	h.Write([]byte(string(e.Kind) + " " + digest + " " + e.Path + "\n")) // a hash never fails
}

func sum(h hash.Hash) string { return Prefix + hex.EncodeToString(h.Sum(nil)) }

func top(path string) string {
	name, _, _ := strings.Cut(path, "/")
	return name
}

// Differences says in words how parts are not what they were.
func Differences(was, is map[string]string) []string {
	var found []string
	all := maps.Clone(is)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, was)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		before, had := was[name]
		now, has := is[name]
		switch {
		case !has:
			found = append(found, name+" is missing")
		case !had:
			found = append(found, name+" was added")
		case before != now:
			found = append(found, name+" changed")
		}
	}
	return found
}
