package store

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/dirhash"
	"github.com/modular-bridging/bridge/plugins/manifest"
)

// The files of a signed release. The signature covers the release file, which holds the
// digest of all other files. So that digest is without these two; the digest that a lock file
// pins includes them.
const (
	ReleaseFile   = "plugin.release"
	SignatureFile = ReleaseFile + ".minisig"
)

// maxParts is the largest number of entries whose digests a pin holds one by one.
const maxParts = 100

// fileDigest is the prefix of the digest of an executable without a folder.
const fileDigest = "sha256:"

// Pin identifies a plugin's files. Lock files hold pins.
type Pin struct {
	Version      string                `toml:"version,omitempty"`      // the manifest's
	Protocol     []int                 `toml:"protocol,omitempty"`     // the manifest's
	Capabilities []adapters.Capability `toml:"capabilities,omitempty"` // the manifest's
	Digest       string                `toml:"digest"`                 // of the whole folder, or of the executable if there is no manifest
	SignedBy     string                `toml:"signed_by,omitempty"`    // id of the signer's key
	// Parts are the digests of the entries at the folder's root, by name, so that messages
	// can name what changed. It is empty if there are too many.
	Parts map[string]string `toml:"parts,omitempty"`
}

// Differences returns the differences between a pin and the present pin of a plugin, in
// words, except signatures. It compares only fields that the old pin has.
func (was Pin) Differences(is Pin) []string {
	var found []string
	if was.Version != is.Version {
		found = append(found, "the version was "+cmp.Or(was.Version, "none")+", is "+cmp.Or(is.Version, "none"))
	}
	if was.Protocol != nil && !slices.Equal(was.Protocol, is.Protocol) || was.Capabilities != nil && !slices.Equal(was.Capabilities, is.Capabilities) {
		found = append(found, "its protocol or its capabilities differ")
	}
	if was.Digest != is.Digest {
		found = append(found, "the digest was "+was.Digest+", is "+is.Digest)
	}
	if was.Parts != nil && is.Parts != nil {
		found = append(found, dirhash.Differences(was.Parts, is.Parts)...)
	}
	return found
}

// Snapshot is a plugin with its files as they were read.
type Snapshot struct {
	Plugin
	Pin     Pin    // without SignedBy
	Release string // digest of the files that a signature covers
	// Executable is the SHA-256 of the program, 64 hex digits.
	Executable string
	// Entries are the files, folders and links that belong to the plugin, in the order of the
	// paths' bytes. Empty if there is no folder.
	Entries []Entry
	// Excluded are the entries of the folder that do not belong to the plugin, and
	// StrayCode the code in them that a program could run or import.
	Excluded, StrayCode []string
	// Interpreters are the programs outside the folder that links in it lead to.
	Interpreters []string

	tree dirhash.Tree
}

// Entry is a file, folder or link of a plugin.
type Entry struct {
	Path string      // from the plugin's folder, with slashes
	Mode fs.FileMode // type, and 0o755 or 0o644
}

// entriesOf returns the entries of a tree.
func entriesOf(tree dirhash.Tree) []Entry {
	modes := map[dirhash.Kind]fs.FileMode{dirhash.Folder: fs.ModeDir | 0o755, dirhash.Link: fs.ModeSymlink | 0o644, dirhash.Exec: 0o755, dirhash.File: 0o644}
	var entries []Entry
	for _, e := range tree.Entries {
		entries = append(entries, Entry{e.Path, modes[e.Kind]})
	}
	return entries
}

// stayOf returns which entries of a plugin's folder are hashed.
func stayOf(m manifest.Manifest) func(name string) dirhash.Stay {
	stays := map[manifest.Membership]dirhash.Stay{manifest.Member: dirhash.In, manifest.Excluded: dirhash.Out, manifest.Unsearched: dirhash.Unsearched}
	return func(name string) dirhash.Stay { return stays[m.MembershipOf(name)] }
}

// Read reads all of a plugin's files, including the manifest. It returns an error for files
// that anyone other than this user and root can change.
func (p Plugin) Read() (Snapshot, error) {
	if err := p.CheckExecutable(); err != nil {
		return Snapshot{}, err
	}
	if p.Dir == "" {
		return p.readProgram()
	}
	before, err := manifest.Load(p.Dir) // which says what belongs to the plugin
	if err != nil {
		return Snapshot{}, err
	}
	tree, err := dirhash.ReadWithout(p.Dir, stayOf(before))
	if err != nil {
		return Snapshot{}, err
	}
	name, place, shadows := p.Name, p.Place, p.Shadows
	if place == ByPath {
		name = ""
	}
	if p, err = open(p.Dir, name, place); err != nil {
		return Snapshot{}, err
	}
	if p.Shadows = shadows; !reflect.DeepEqual(p.Manifest, before) {
		return Snapshot{}, adapters.Errorf(adapters.Corrupt, "%s changed while it was read", filepath.Join(p.Dir, manifest.File)).WithRemedy("see what changes it")
	}
	program, err := p.executable(tree)
	if err != nil {
		return Snapshot{}, err
	}
	parts := tree.Parts()
	if len(parts) > maxParts {
		parts = nil
	}
	return Snapshot{Plugin: p, Release: tree.Digest(p.unsignedEntries()...), Executable: program,
		Entries: entriesOf(tree), Excluded: tree.Left, StrayCode: tree.Code, Interpreters: tree.Outside, tree: tree, Pin: Pin{
			Version: p.Manifest.Version, Protocol: p.Manifest.Protocol, Capabilities: p.Manifest.Capabilities, Digest: tree.Digest(), Parts: parts}}, nil
}

// UnsignedPin returns the pin that the plugin would have without a signature. Runs record it,
// because a signature does not change what a plugin computes.
func (s Snapshot) UnsignedPin() Pin {
	pin := s.Pin
	if s.Dir == "" {
		return pin
	}
	pin.Digest = s.tree.Digest(ReleaseFile, SignatureFile)
	pin.Parts = maps.Clone(s.Pin.Parts)
	delete(pin.Parts, ReleaseFile)
	delete(pin.Parts, SignatureFile)
	return pin
}

// unsignedEntries returns the entries at the folder's root that a signature does not cover.
func (p Plugin) unsignedEntries() []string {
	return append([]string{ReleaseFile, SignatureFile}, p.Manifest.Build.Makes...)
}

// Built returns the entries that the plugin's build has made here. A signature does not cover
// them.
func (s Snapshot) Built() []string {
	var built []string
	for _, name := range s.Manifest.Build.Makes {
		if _, ok := s.tree.Find(name); ok {
			built = append(built, name)
		}
	}
	return built
}

// executable returns the digest of the plugin's program in the tree: a plain file, or the
// target of a link in the folder.
func (p Plugin) executable(tree dirhash.Tree) (string, error) {
	resolved, err := filepath.EvalSymlinks(p.Program)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", p.Program, err)
	}
	dir, err := filepath.EvalSymlinks(p.Dir)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", p.Dir, err)
	}
	name, err := filepath.Rel(dir, resolved)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", p.Program, err)
	}
	e, ok := tree.Find(filepath.ToSlash(name))
	if !ok || e.Kind != dirhash.Exec {
		return "", adapters.Errorf(adapters.Invalid, "%s is not an executable in the plugin's folder", p.Program).WithRemedy("put the program itself there, chmod +x")
	}
	return e.SHA256, nil
}

// readProgram reads an executable without a folder.
func (p Plugin) readProgram() (Snapshot, error) {
	if err := dirhash.Trusted(p.Program); err != nil {
		return Snapshot{}, err
	}
	sum, err := dirhash.FileSHA256(p.Program)
	if err != nil {
		return Snapshot{}, adapters.Errorf(adapters.NotFound, "%s cannot be read: %w", p.Program, err).WithRemedy("give its user the right to read it")
	}
	return Snapshot{Plugin: p, Executable: sum, Pin: Pin{Digest: fileDigest + sum}}, nil
}

// ValidDigest reports whether s can be the digest of a pin.
func ValidDigest(s string) bool {
	hex, ok := strings.CutPrefix(s, dirhash.Prefix)
	if !ok {
		hex, ok = strings.CutPrefix(s, fileDigest)
	}
	return ok && len(hex) == 64 && strings.Trim(hex, "0123456789abcdef") == ""
}

// Signed reports whether the plugin's folder holds a signature. It does not check it.
func (p Plugin) Signed() bool {
	if p.Dir == "" {
		return false
	}
	_, err := os.Lstat(filepath.Join(p.Dir, SignatureFile))
	return err == nil
}
