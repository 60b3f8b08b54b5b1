package release

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/plugins/store"
)

// An archive has the signed files: after unpacking with tar, the signature is valid.
func TestPack(t *testing.T) {
	tar, err := exec.LookPath("tar")
	if err != nil {
		testenv.Lacking(t, "tar", err)
	}
	p := plugin(t)
	keys, private := keyPair(t)
	put := func(name, text string) {
		t.Helper()
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(p.Dir, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(p.Dir, name), []byte(text), 0o644))
	}
	text, err := os.ReadFile(filepath.Join(p.Dir, "plugin.toml"))
	must(t, err)
	put("plugin.toml", string(text)+"exclude = ['raw']\n[build]\nmakes = ['.venv']\n")
	put("lib/"+strings.Repeat("long/", 40)+"ü.py", "x = 1\n")
	must(t, os.Mkdir(filepath.Join(p.Dir, "empty"), 0o755))
	must(t, os.Symlink("../bridge-adapter-x", filepath.Join(p.Dir, "lib", "link")))
	for _, name := range []string{"runs/t/log.txt", ".git/config", "raw/data", "lib/__pycache__/x.pyc", ".venv/bin/x.py"} {
		put(name, "")
	}
	pack := func() ([]byte, error) {
		var b bytes.Buffer
		_, err := Pack(p, &b)
		return b.Bytes(), err
	}
	_, err = Sign(p, private, "")
	must(t, err)
	packed, err := pack()
	must(t, err)
	must(t, os.Chtimes(filepath.Join(p.Dir, "plugin.toml"), time.Unix(1e9, 0), time.Unix(1e9, 0)))
	put("runs/t/log.txt", "more")
	if again, err := pack(); err != nil || !bytes.Equal(packed, again) {
		t.Errorf("the same files make a different archive, %v", err)
	}
	file, to := filepath.Join(t.TempDir(), "x.tar.gz"), t.TempDir()
	must(t, os.WriteFile(file, packed, 0o644))
	if out, err := exec.Command(tar, "xzf", file, "-C", to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	there, err := store.OpenPath(filepath.Join(to, "x"))
	must(t, err)
	if s, err := check(t, there, keys); err != nil || s.Name != "me" || len(s.Unsigned) > 0 {
		t.Errorf("after unpacking it is signed by %s, %v", s, err)
	}
	for _, gone := range []string{"runs", ".git", "raw", ".venv", "lib/__pycache__"} {
		if _, err := os.Lstat(filepath.Join(there.Dir, gone)); err == nil {
			t.Errorf("%s was packed", gone)
		}
	}
	put("new.py", "")
	if _, err := pack(); err == nil || !strings.Contains(err.Error(), "has changed since it was signed") || !strings.Contains(err.Error(), "sign it again") {
		t.Errorf("changed since it was signed: %v", err)
	}
	must(t, os.Remove(filepath.Join(p.Dir, store.SignatureFile)))
	if _, err := pack(); err != nil {
		t.Errorf("not signed: %v", err)
	}
}
