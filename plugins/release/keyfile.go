package release

import (
	"errors"
	"io/fs"
	"os"

	"github.com/modular-bridging/bridge/adapters"
)

// WriteKeyFiles writes a private key to path, which only the user can read, and the public key
// to path + ".pub". It replaces no file.
func WriteKeyFiles(path, public, private string) error {
	if err := writeNew(path, private, 0o600); err != nil {
		return err
	}
	return writeNew(path+".pub", "untrusted comment: public key of a plugin's author\n"+public+"\n", 0o644)
}

// writeNew writes a file that does not exist yet.
func writeNew(path, text string, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return adapters.Errorf(adapters.Invalid, "%s already exists", path).
			WithRemedy("name another file: bridge does not replace a key, because a lost key cannot be made again")
	}
	if err != nil {
		return adapters.Errorf(adapters.Unknown, "cannot write the key: %w", err).
			WithRemedy("name a file in a folder that exists and that you may write to")
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// ReadPrivateKey reads a private key that [WriteKeyFiles] or minisign wrote.
func ReadPrivateKey(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", adapters.Errorf(adapters.NotFound, "cannot read the key: %w", err).WithRemedy("make one: bridge plugin keygen FILE")
	}
	return string(text), nil
}
