package tokenizer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// FolderDigest returns "sha256:…" over the names and contents of a folder's tokenizer files, as
// [Open] reads them, without configuration files. It is empty if there are none.
func FolderDigest(dir string) (string, error) {
	sum := sha256.New()
	found := false
	for _, name := range []string{"tokenizer.json", "vocab.json", "merges.txt", "tokenizer.model", "spiece.model", "added_tokens.json"} {
		text, err := read(dir, name)
		if err != nil {
			return "", err
		}
		if text == nil {
			continue
		}
		found = true
		fmt.Fprintf(sum, "%s %x\n", name, sha256.Sum256(text))
		if name == "tokenizer.json" { // it alone counts
			break
		}
	}
	if !found {
		return "", nil
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil)), nil
}
