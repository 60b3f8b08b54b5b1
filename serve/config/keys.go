package config

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"os"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/shell"
)

// Keys are the API keys that a server accepts. Without any, everybody is served. Only digests of
// the keys are held, and nothing prints them.
type Keys struct{ keys []key }

type key struct {
	name   string
	digest [sha256.Size]byte
}

// KeysVariable is the usual environment variable with keys, one or several with commas.
const KeysVariable = "BRIDGE_API_KEYS"

// leastKeyBytes is the length of the shortest key that is accepted.
const leastKeyBytes = 16

// Required reports whether clients need a key.
func (k Keys) Required() bool { return len(k.keys) > 0 }

// Len returns the number of keys.
func (k Keys) Len() int { return len(k.keys) }

// Name returns the name of the key that a client sent. It takes the same time for every key of one
// length.
func (k Keys) Name(sent string) (name string, ok bool) {
	digest := sha256.Sum256([]byte(sent))
	for _, key := range k.keys {
		if subtle.ConstantTimeCompare(digest[:], key.digest[:]) == 1 {
			name, ok = key.name, true
		}
	}
	return name, ok
}

// Add adds a key under a name. Logs and metrics use the name.
func (k *Keys) Add(name, secret string) error {
	switch {
	case len(secret) < leastKeyBytes:
		return adapters.Errorf(adapters.Invalid, "key %s has %d characters, want at least %d", name, len(secret), leastKeyBytes).
			WithRemedy("make one with: openssl rand -hex 24")
	case strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }):
		return adapters.Errorf(adapters.Invalid, "key %s has a character that no header can hold, want visible ASCII", name)
	}
	digest := sha256.Sum256([]byte(secret))
	for _, other := range k.keys {
		if other.name == name || other.digest == digest {
			return adapters.Errorf(adapters.Invalid, "keys %s and %s have the same name or value", other.name, name)
		}
	}
	k.keys = append(k.keys, key{name, digest})
	return nil
}

// ReadFile adds the keys of a file: one a line, "name: key" or a key alone. Empty lines and those
// that begin with # are skipped. Errors name lines, never keys.
func (k *Keys) ReadFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return adapters.Errorf(adapters.NotFound, "the key file: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return adapters.Errorf(adapters.Invalid, "the key file %s can be read by others (mode %04o)", path, mode).
			WithRemedy("chmod 600 %s", shell.Path(path))
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return adapters.Errorf(adapters.NotFound, "the key file: %w", err)
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, secret, named := strings.Cut(line, ":")
		if !named {
			name, secret = fmt.Sprintf("line %d", n), line
		}
		if err := k.Add(strings.TrimSpace(name), strings.TrimSpace(secret)); err != nil {
			return adapters.Errorf(adapters.KindOf(err), "%s:%d: %w", path, n, err)
		}
	}
	if len(k.keys) == 0 {
		return adapters.Errorf(adapters.Invalid, "the key file %s has no key", path).WithRemedy("write one key a line")
	}
	return nil
}

// ReadEnvironment adds the keys of an environment variable, if it is set.
func (k *Keys) ReadEnvironment(variable string) error {
	n := 0
	for secret := range strings.SplitSeq(os.Getenv(variable), ",") {
		if secret = strings.TrimSpace(secret); secret == "" {
			continue
		}
		n++
		if err := k.Add(fmt.Sprintf("environment %d", n), secret); err != nil {
			return adapters.Errorf(adapters.KindOf(err), "%s: %w", variable, err)
		}
	}
	return nil
}
