// Package release signs plugins, checks their signatures, and packs them.
//
// A signed plugin has two more files in its folder: plugin.release, with the plugin's name,
// version, protocol, and the digest of all its other files, and plugin.release.minisig, a
// signature of it. The signature has minisign's format (Ed25519), so that minisign can make
// and check it, too. The user's configuration lists the trusted keys.
package release

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"aead.dev/minisign"
	"github.com/BurntSushi/toml"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/atomicfile"
	"github.com/modular-bridging/bridge/internal/stricttoml"
	"github.com/modular-bridging/bridge/plugins/store"
)

// Release is the signed content of plugin.release.
type Release struct {
	Name     string `toml:"name"`     // the manifest's
	Version  string `toml:"version"`  // the manifest's
	Protocol []int  `toml:"protocol"` // the manifest's
	Digest   string `toml:"digest"`   // of the plugin's folder, without the two files of the release and the results of its build

	// Excluded are the paths in the folder that do not belong to the plugin.
	Excluded []string `toml:"-"`
	// Built are the entries that the plugin's build has made, which are not released.
	Built []string `toml:"-"`
}

// Of returns the release of a plugin's present files.
func Of(s store.Snapshot) Release {
	return Release{Name: s.Manifest.Name, Version: s.Manifest.Version, Protocol: s.Manifest.Protocol, Digest: s.Release, Excluded: s.Excluded, Built: s.Built()}
}

func (r Release) equal(o Release) bool {
	return r.Name == o.Name && r.Version == o.Version && slices.Equal(r.Protocol, o.Protocol) && r.Digest == o.Digest
}

func (r Release) encode() ([]byte, error) {
	var buf bytes.Buffer
	buf.WriteString("# A release, written by `bridge plugin sign`. The signature next to it has minisign's format.\n")
	if err := toml.NewEncoder(&buf).Encode(r); err != nil {
		return nil, fmt.Errorf("encode the release of %s: %w", r.Name, err)
	}
	return buf.Bytes(), nil
}

// NewKey makes a key pair.
func NewKey() (public, private string, err error) {
	p, s, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		return "", "", fmt.Errorf("making a key: %w", err)
	}
	text, err := s.MarshalText()
	if err != nil {
		return "", "", fmt.Errorf("making a key: %w", err)
	}
	return p.String(), string(text) + "\n", nil
}

// Encrypt returns a private key that is encrypted with a password. As in minisign, that takes
// seconds, and 1 GiB of memory.
func Encrypt(private, password string) (string, error) {
	var key minisign.PrivateKey
	if err := key.UnmarshalText([]byte(private)); err != nil {
		return "", adapters.Errorf(adapters.Invalid, "this is not a minisign private key: %w", err)
	}
	text, err := minisign.EncryptKey(password, key)
	if err != nil {
		return "", fmt.Errorf("encrypting a key: %w", err)
	}
	return string(text) + "\n", nil
}

// Encrypted reports whether a private key is encrypted with a password.
func Encrypted(private string) bool { return minisign.IsEncrypted([]byte(private)) }

// Sign signs a plugin and writes the two files of the release to its folder.
func Sign(p store.Plugin, private, password string) (Release, error) {
	if p.Dir == "" {
		return Release{}, noManifest(p)
	}
	key, err := open(private, password)
	if err != nil {
		return Release{}, err
	}
	now, err := p.Read()
	if err != nil {
		return Release{}, err
	}
	r := Of(now)
	text, err := r.encode()
	if err != nil {
		return Release{}, err
	}
	comment := fmt.Sprintf("%s %s", r.Name, r.Version)
	signature := minisign.SignWithComments(key, text, comment, "signature of a bridge plugin")
	if err := atomicfile.WriteBytes(filepath.Join(p.Dir, store.ReleaseFile), text); err != nil {
		return Release{}, err
	}
	return r, atomicfile.WriteBytes(filepath.Join(p.Dir, store.SignatureFile), signature)
}

func noManifest(p store.Plugin) error {
	return adapters.Errorf(adapters.Invalid, "%s has no manifest, which a release needs", p.Program).WithRemedy("write a plugin.toml next to it")
}

func open(private, password string) (minisign.PrivateKey, error) {
	var key minisign.PrivateKey
	var err error
	if Encrypted(private) {
		key, err = minisign.DecryptKey(password, []byte(private))
	} else {
		err = key.UnmarshalText([]byte(private))
	}
	if err != nil {
		return key, adapters.Errorf(adapters.Invalid, "the private key cannot be used: %w", err).
			WithRemedy("use a key that `bridge plugin keygen` or minisign made, and its password")
	}
	return key, nil
}

// Keys are the public keys that a user trusts, by the user's names for them.
type Keys map[string]minisign.PublicKey

// ParseKeys parses public keys in minisign's one-line form.
func ParseKeys(text map[string]string) (Keys, error) {
	keys := Keys{}
	for _, name := range slices.Sorted(maps.Keys(text)) {
		var key minisign.PublicKey
		if err := key.UnmarshalText([]byte(strings.TrimSpace(text[name]))); err != nil {
			return nil, adapters.Errorf(adapters.Invalid, "the key %q is %q: %w", name, text[name], err).
				WithRemedy("use the line of the .pub file that begins with RW")
		}
		keys[name] = key
	}
	return keys, nil
}

// KeyID returns a key's id in minisign's form.
func KeyID(id uint64) string { return fmt.Sprintf("%016X", id) }

// Signer describes the signature of a plugin.
type Signer struct {
	Signed bool   // there is a signature
	Key    string // id of its key; empty without a signature
	Name   string // of the trusted key; empty if the key is not trusted
	// Unsigned are the entries of the plugin that the signature does not cover, because
	// its build has made them here.
	Unsigned []string
}

// String returns the signer for people.
func (s Signer) String() string {
	switch {
	case !s.Signed:
		return "nobody"
	case s.Name == "":
		return "unknown key " + s.Key
	}
	who := fmt.Sprintf("%s (key %s)", s.Name, s.Key)
	if len(s.Unsigned) > 0 {
		who += ", without " + strings.Join(s.Unsigned, ", ")
	}
	return who
}

// Check returns the signer of a plugin. It returns an error if a signature by a trusted key is
// wrong, or covers other files than the present ones. It does not check a signature by an
// unknown key.
func Check(s store.Snapshot, keys Keys) (Signer, error) {
	if !s.Signed() {
		return Signer{}, nil
	}
	signature, err := read(filepath.Join(s.Dir, store.SignatureFile))
	if err != nil {
		return Signer{}, badSignature(s, err)
	}
	var parsed minisign.Signature
	if err := parsed.UnmarshalText(signature); err != nil {
		return Signer{}, badSignature(s, err)
	}
	signer := Signer{Signed: true, Key: KeyID(parsed.KeyID), Unsigned: s.Built()}
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		if keys[name].ID() != parsed.KeyID {
			continue
		}
		signer.Name = name
		return signer, verify(s, keys[name], signature)
	}
	return signer, nil
}

// verify checks the signature, and that it covers the plugin's present files.
func verify(s store.Snapshot, key minisign.PublicKey, signature []byte) error {
	text, err := read(filepath.Join(s.Dir, store.ReleaseFile))
	if err != nil {
		return badSignature(s, err)
	}
	if !minisign.Verify(key, text, signature) {
		return badSignature(s, errors.New("it was not made for this release with this key"))
	}
	signed, err := parse(s, text)
	if err != nil {
		return badSignature(s, err)
	}
	if now := Of(s); !signed.equal(now) {
		return badSignature(s, fmt.Errorf("it is for %s %s with %s, but the folder has %s %s with %s",
			signed.Name, signed.Version, signed.Digest, now.Name, now.Version, now.Digest))
	}
	return nil
}

// readRelease reads plugin.release without a check of the signature.
func readRelease(s store.Snapshot) (Release, error) {
	text, err := read(filepath.Join(s.Dir, store.ReleaseFile))
	if err != nil {
		return Release{}, err
	}
	return parse(s, text)
}

func parse(s store.Snapshot, text []byte) (r Release, err error) {
	doc, err := stricttoml.Parse(filepath.Join(s.Dir, store.ReleaseFile), text)
	if err != nil {
		return r, err
	}
	doc.Decode(&r)
	return r, doc.Err()
}

func badSignature(s store.Snapshot, err error) error {
	return adapters.Errorf(adapters.Corrupt, "the signature of plugin %s is not valid: %w", s.Name, err).
		WithRemedy("get the plugin again from its author, who can sign it again with `bridge plugin sign`")
}

// read reads a small plain file that is untrusted.
func read(path string) ([]byte, error) {
	const most = 64 << 10
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > most {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("it is not a small plain file")}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}
