package dirhash

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/testenv"
)

// folder creates a small plugin with a virtual environment.
func folder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "x")
	for _, d := range []string{".", "lib", "lib/sub", "empty", ".venv", ".venv/bin"} {
		must(t, os.Mkdir(filepath.Join(dir, d), 0o755))
	}
	for name, mode := range map[string]os.FileMode{"run": 0o755, "lib/a b.py": 0o644, "lib-c": 0o644, "lib/sub/ü": 0o600, ".venv/pyvenv.cfg": 0o644} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte("content of "+name), mode))
	}
	python := filepath.Join(t.TempDir(), "bin", "python3.11")
	must(t, os.Mkdir(filepath.Dir(python), 0o755))
	must(t, os.WriteFile(python, nil, 0o755))
	for name, target := range map[string]string{"lib/link": "sub/ü", "dangling": "none", "lib64": "lib", ".venv/bin/python3": python, ".venv/bin/python": "python3"} {
		must(t, os.Symlink(target, filepath.Join(dir, name)))
	}
	return dir
}

var someTime = time.Unix(1e9, 0)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, dir string) Tree {
	t.Helper()
	tree, err := Read(dir)
	must(t, err)
	return tree
}

// reference is a shell script that computes the digest with coreutils.
const reference = `cd "$1" && find . -mindepth 1 | sed 's|^\./||' | LC_ALL=C sort | while IFS= read -r p; do
	if [ -L "$p" ]; then echo "link $(printf %s "$(readlink "$p")" | sha256sum | cut -c1-64) $p"
	elif [ -d "$p" ]; then echo "dir - $p"
	elif [ -x "$p" ]; then echo "exec $(sha256sum <"$p" | cut -c1-64) $p"
	else echo "file $(sha256sum <"$p" | cut -c1-64) $p"; fi
done | sha256sum | cut -c1-64`

func TestDigestMatchesCoreutils(t *testing.T) {
	dir := folder(t)
	for _, tool := range []string{"sh", "find", "sed", "sort", "sha256sum", "readlink"} {
		if _, err := exec.LookPath(tool); err != nil {
			testenv.Lacking(t, tool, err)
		}
	}
	out, err := exec.Command("sh", "-c", reference, "sh", dir).CombinedOutput()
	must(t, err)
	tree := read(t, dir)
	if want := Prefix + strings.TrimSpace(string(out)); tree.Digest() != want {
		t.Errorf("digest %s, coreutils have %s for\n%v", tree.Digest(), want, tree.Entries)
	}
	if len(tree.Entries) != 15 || len(tree.Outside) != 1 {
		t.Errorf("read %d entries, outside %v", len(tree.Entries), tree.Outside)
	}
}

// Every relevant change changes the digest and its part. Other changes do not.
func TestChanges(t *testing.T) {
	at := func(dir, name string) string { return filepath.Join(dir, name) }
	for name, c := range map[string]struct {
		change func(dir string) error
		want   string
	}{
		"byte":        {func(d string) error { return os.WriteFile(at(d, "lib/sub/ü"), []byte("content of lib/sub/u"), 0o600) }, "lib changed"},
		"missing":     {func(d string) error { return os.Remove(at(d, "lib/a b.py")) }, "lib changed"},
		"missing top": {func(d string) error { return os.Remove(at(d, "lib-c")) }, "lib-c is missing"},
		"added":       {func(d string) error { return os.WriteFile(at(d, "new"), nil, 0o644) }, "new was added"},
		"added below": {func(d string) error { return os.WriteFile(at(d, "lib/sub/new"), nil, 0o644) }, "lib changed"},
		"empty dir":   {func(d string) error { return os.Remove(at(d, "empty")) }, "empty is missing"},
		"mode":        {func(d string) error { return os.Chmod(at(d, "lib-c"), 0o755) }, "lib-c changed"},
		"mode off":    {func(d string) error { return os.Chmod(at(d, "run"), 0o644) }, "run changed"},
		"link": {func(d string) error {
			return first(os.Remove(at(d, "lib/link")), os.Symlink("a b.py", at(d, "lib/link")))
		}, "lib changed"},
		"link for file": {func(d string) error {
			return first(os.Remove(at(d, "lib-c")), os.Symlink("run", at(d, "lib-c")))
		}, "lib-c changed"},
		"file for dir": {func(d string) error {
			return first(os.Remove(at(d, "empty")), os.WriteFile(at(d, "empty"), nil, 0o644))
		}, "empty changed"},
		"renamed":   {func(d string) error { return os.Rename(at(d, "lib-c"), at(d, "lib-d")) }, "lib-c is missing, lib-d was added"},
		"times":     {func(d string) error { return os.Chtimes(at(d, "run"), someTime, someTime) }, ""},
		"read bits": {func(d string) error { return os.Chmod(at(d, "lib-c"), 0o600) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t)
			was := read(t, dir)
			must(t, c.change(dir))
			is := read(t, dir)
			if got := strings.Join(Differences(was.Parts(), is.Parts()), ", "); got != c.want {
				t.Errorf("differences %q, want %q", got, c.want)
			}
			if (was.Digest() == is.Digest()) != (c.want == "") {
				t.Errorf("the digest was %s, now it is %s", was.Digest(), is.Digest())
			}
		})
	}
}

func TestDigestWithout(t *testing.T) {
	dir := folder(t)
	was := read(t, dir)
	must(t, os.WriteFile(filepath.Join(dir, "signature"), nil, 0o644))
	is := read(t, dir)
	if is.Digest("signature", "none") != was.Digest() || is.Digest() == was.Digest() {
		t.Error("Digest does not exclude the named entry")
	}
	if e, ok := is.Find("lib/sub/ü"); !ok || e.Kind != File {
		t.Errorf("found %+v, %v", e, ok)
	}
	if _, ok := is.Find("lib/sub"); !ok {
		t.Error("Find does not find a folder")
	}
	if _, ok := is.Find("lib/"); ok {
		t.Error("Find finds a path that does not exist")
	}
}

// Excluded entries do not change the digest and are not checked, but code in them is listed.
func TestReadWithout(t *testing.T) {
	dir := folder(t)
	at := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	was := read(t, dir)
	stays := func(path string) Stay {
		switch path {
		case "runs", "lib/cache", "notes":
			return Out
		case ".git":
			return Unsearched
		}
		return In
	}
	for _, name := range []string{"runs/t/report.html", "lib/cache/x.json", "notes", ".git/hooks/pre-commit", ".git/x.py"} {
		must(t, os.MkdirAll(filepath.Dir(at(name)), 0o755))
		must(t, os.WriteFile(at(name), nil, 0o755&^0o111))
	}
	must(t, os.Chmod(at(".git/hooks/pre-commit"), 0o777)) // other users can change it
	must(t, os.Symlink("/etc", at(".git/out")))
	is, err := ReadWithout(dir, stays)
	must(t, err)
	if is.Digest() != was.Digest() || strings.Join(is.Left, " ") != ".git lib/cache notes runs" || is.Code != nil {
		t.Errorf("left %v, code %v, differences %v", is.Left, is.Code, Differences(was.Parts(), is.Parts()))
	}
	for _, name := range []string{"runs/t/x.py", "lib/cache/a.cpython-311.pyc", "runs/libx.so", "runs/libx.so.1.2", "runs/X.PTH", "runs/program", "runs/link", "notes", "runs"} {
		t.Run(name, func(t *testing.T) {
			var err error
			switch filepath.Base(name) {
			case "program":
				err = os.WriteFile(at(name), nil, 0o755)
			case "link":
				err = os.Symlink("/etc", at(name))
			case "notes":
				err = os.Chmod(at(name), 0o755)
			case "runs":
				err = first(os.RemoveAll(at(name)), os.Symlink("/etc", at(name)))
			default:
				err = os.WriteFile(at(name), nil, 0o644)
			}
			must(t, err)
			is, err := ReadWithout(dir, stays)
			must(t, err)
			if is.Digest() != was.Digest() || len(is.Code) != 1 || is.Code[0] != name {
				t.Errorf("code %v", is.Code)
			}
			if name == "notes" {
				must(t, os.Chmod(at(name), 0o644))
			} else {
				must(t, os.Remove(at(name)))
			}
		})
	}
}

// Read refuses a folder that other users can change, and the error has a remedy.
func TestRefusals(t *testing.T) {
	at := func(dir, name string) string { return filepath.Join(dir, name) }
	for name, c := range map[string]struct {
		change func(dir string) error
		want   []string
	}{
		"writable file":   {func(d string) error { return os.Chmod(at(d, "lib-c"), 0o646) }, []string{"lib-c", "everybody can write", "chmod o-w"}},
		"writable folder": {func(d string) error { return os.Chmod(at(d, "lib/sub"), 0o777) }, []string{"lib/sub", "everybody can write", "chmod o-w"}},
		"writable itself": {func(d string) error { return os.Chmod(d, 0o777) }, []string{"everybody can write", "chmod o-w " + "/"}},
		"writable parent": {func(d string) error { return os.Chmod(filepath.Dir(d), 0o777) }, []string{"everybody can write"}},
		"link out":        {func(d string) error { return os.Symlink("../../other", at(d, "out")) }, []string{"out is a link out of the folder, to ../../other", "put a copy"}},
		"absolute link":   {func(d string) error { return os.Symlink(at(d, "run"), at(d, "out")) }, []string{"out is a link out of the folder", "relative link"}},
		"link to folder":  {func(d string) error { return os.Symlink("/etc", at(d, "lib/sub/etc")) }, []string{"etc is a link out of the folder, to /etc"}},
		"python elsewhere": {func(d string) error { return os.Symlink("/bin/sh", at(d, "lib/python")) },
			[]string{"python is a link out of the folder"}},
		"python is another": {func(d string) error {
			return first(os.Remove(at(d, ".venv/bin/python3")), os.Symlink("/etc/passwd", at(d, ".venv/bin/python3")))
		}, []string{"leads to /etc/passwd, which is not a Python interpreter"}},
		"pipe":       {func(d string) error { return syscall.Mkfifo(at(d, "pipe"), 0o600) }, []string{"pipe is neither a file, a folder nor a link"}},
		"setuid":     {func(d string) error { return os.Chmod(at(d, "run"), 0o755|os.ModeSetuid) }, []string{"another user's rights", "chmod ug-s"}},
		"newline":    {func(d string) error { return os.WriteFile(at(d, "a\nb"), nil, 0o644) }, []string{`the name "a\nb"`}},
		"no UTF-8":   {func(d string) error { return os.WriteFile(at(d, "a\xff"), nil, 0o644) }, []string{`the name "a\xff"`}},
		"other user": {func(d string) error { return chown(at(d, "lib-c"), 12345, -1) }, []string{"lib-c belongs to user 12345", "chown"}},
		"other link": {func(d string) error { return chown(at(d, "lib/link"), 12345, -1) }, []string{"link belongs to user 12345"}},
		"group": {func(d string) error {
			return first(os.Chmod(at(d, "lib-c"), 0o664), chown(at(d, "lib-c"), -1, 12345))
		}, []string{"group 12345 can write", "chmod g-w"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t)
			if err := c.change(dir); errors.Is(err, errNotRoot) {
				t.Skip(err)
			} else if err != nil {
				t.Fatal(err)
			}
			_, err := Read(dir)
			if err == nil {
				t.Fatal("Read returned no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q in it", err, want)
				}
			}
		})
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none")); adapters.KindOf(err) != adapters.NotFound {
		t.Errorf("a folder that does not exist: %v", err)
	}
}

// Trusted checks the folder of a link on the path, because its owner decides where the link
// leads.
func TestTrustedChecksLinksOnThePath(t *testing.T) {
	dir := folder(t)
	theirs := filepath.Join(t.TempDir(), "theirs")
	must(t, os.Mkdir(theirs, 0o755))
	must(t, os.Symlink(dir, filepath.Join(theirs, "x")))
	must(t, Trusted(filepath.Join(theirs, "x", "run")))
	if err := chown(theirs, 12345, -1); err != nil {
		t.Skip(err)
	}
	if err := Trusted(filepath.Join(theirs, "x", "run")); err == nil || !strings.Contains(err.Error(), "theirs belongs to user 12345") {
		t.Errorf("a link in another user's folder: %v", err)
	}
}

// chown changes the owner of a file. It needs root, and CI runs as root.
func chown(path string, uid, gid int) error {
	if os.Getuid() != 0 {
		return errNotRoot
	}
	return os.Lchown(path, uid, gid)
}

var errNotRoot = errors.New("only root can change the owner of a file")

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
