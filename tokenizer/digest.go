package tokenizer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// FolderDigest returns "sha256:…" over the files that [Open] makes a folder's
// tokens of, by name and content, empty where there are none. The configuration
// files beside them do not count.
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
