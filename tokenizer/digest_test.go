package tokenizer

import "testing"

func TestFolderDigest(t *testing.T) {
	dir := t.TempDir()
	digest := func() string {
		t.Helper()
		got, err := FolderDigest(dir)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := digest(); got != "" {
		t.Errorf("an empty folder: %q", got)
	}
	seen := map[string]string{}
	for _, c := range []struct {
		file, text string
		changes    bool
	}{
		{"tokenizer.model", "a", true}, {"tokenizer.model", "b", true}, {"tokenizer_config.json", "{}", false},
		{"added_tokens.json", "{}", true}, {"tokenizer.json", "{}", true}, {"tokenizer.model", "a", false}, {"tokenizer.json", "[]", true},
	} {
		before := digest()
		write(t, dir, c.file, c.text)
		got := digest()
		if (got != before) != c.changes {
			t.Errorf("%s of %q: the digest changes from %q to %q, want a change: %v", c.file, c.text, before, got, c.changes)
		}
		if c.changes && seen[got] != "" {
			t.Errorf("%s of %q has the digest of %s", c.file, c.text, seen[got])
		}
		seen[got] = c.file
	}
	write(t, dir, "tokenizer.json", "")
	if _, err := FolderDigest(dir); err == nil {
		t.Error("an empty file has a digest")
	}
}
