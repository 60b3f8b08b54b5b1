// Package dirhash computes the digest of a folder, to pin it: any relevant change of its content
// changes the digest.
//
// A change is relevant if it can change the behavior of a program in the folder: paths, the kind
// of each entry, the content of files, whether a file is executable, and the targets of links.
// Times, owners and other mode bits are not part of the digest, so copies and checkouts of a
// folder have the same digest. [Read] refuses a folder that other users can change.
//
// # The digest
//
// The digest is the SHA-256 of a list with a line for each entry, sorted by the bytes of the
// paths:
//
//	dir - PATH
//	file SHA256 PATH
//	exec SHA256 PATH
//	link SHA256 PATH
//
// "exec" is a file that its owner may execute. The SHA-256 of a link is that of the text of its
// target. Each line ends in "\n", which no path contains. The list does not have the entries that
// [ReadWithout] excludes.
package dirhash

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"maps"
	"slices"
	"strings"
)

// Prefix is the start of every digest. It names the format of the list and the hash function.
const Prefix = "tree1-sha256:"

// Kind is the kind of an entry.
type Kind string

// The kinds. Their values are the words in the list.
const (
	Folder Kind = "dir"
	File   Kind = "file"
	Exec   Kind = "exec" // a file that its owner may execute
	Link   Kind = "link"
)

// Entry is a file, folder or link in a tree.
type Entry struct {
	Path   string // relative to the tree's root, with slashes
	Kind   Kind
	SHA256 string // of a file's content or a link's target, 64 hex digits; empty for a folder
}

// Tree is the content of a folder.
type Tree struct {
	Entries []Entry // sorted by the bytes of the paths
	// Left are the paths of excluded entries. Code are the paths of files in them that a program
	// could run or import. Neither is part of the digest.
	Left, Code []string
	// Outside are the programs outside the folder that links in it lead to: interpreters of
	// virtual environments. They belong to the system and are not part of the digest.
	Outside []string
}

// Digest returns the digest of the tree without the named entries at its root.
func (t Tree) Digest(without ...string) string {
	h := sha256.New()
	for _, e := range t.Entries {
		if !slices.Contains(without, top(e.Path)) {
			e.write(h)
		}
	}
	return sum(h)
}

// Parts returns the digest of each entry at the root with its content, by name. With them,
// [Differences] can name the changed entries.
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
	h.Write([]byte(string(e.Kind) + " " + digest + " " + e.Path + "\n")) // writing to a hash does not fail
}

func sum(h hash.Hash) string { return Prefix + hex.EncodeToString(h.Sum(nil)) }

func top(path string) string {
	name, _, _ := strings.Cut(path, "/")
	return name
}

// Differences describes the differences between old and new parts.
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
