package release

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/plugins/store"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// plugin writes a plugin and opens it.
func plugin(t *testing.T) store.Plugin {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "plugin.toml"), []byte("name = 'x'\nversion = '1.0.0'\nprotocol = [1]\nkind = 'language-model'\n"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "bridge-adapter-x"), []byte("#!/bin/sh\n"), 0o755))
	p, err := store.OpenPath(dir)
	must(t, err)
	return p
}

func keyPair(t *testing.T) (Keys, string) {
	t.Helper()
	public, private, err := NewKey()
	must(t, err)
	keys, err := ParseKeys(map[string]string{"me": public})
	must(t, err)
	return keys, private
}

func check(t *testing.T, p store.Plugin, keys Keys) (Signer, error) {
	t.Helper()
	now, err := p.Read()
	must(t, err)
	return Check(now, keys)
}

func TestSign(t *testing.T) {
	p := plugin(t)
	keys, private := keyPair(t)
	others, _ := keyPair(t)
	if s, err := check(t, p, keys); err != nil || s.Signed || s.String() != "nobody" {
		t.Errorf("not signed: %+v, %v", s, err)
	}
	for range 2 { // signing again replaces the signature, which is not signed itself
		r, err := Sign(p, private, "")
		if err != nil || r.Name != "x" || r.Version != "1.0.0" {
			t.Fatalf("signed %+v, %v", r, err)
		}
		if s, err := check(t, p, keys); err != nil || s.Name != "me" || s.Key != KeyID(keys["me"].ID()) || !strings.HasPrefix(s.String(), "me (key ") {
			t.Errorf("signed by %+v, %v", s, err)
		}
	}
	if s, err := check(t, p, others); err != nil || !s.Signed || s.Name != "" || s.Key == "" {
		t.Errorf("by a key that is not trusted: %+v, %v", s, err)
	}
	now, err := p.Read()
	must(t, err)
	if now.Pin.Digest == now.Release {
		t.Error("the pin does not cover the signature")
	}
}

func TestChangesAfterSigning(t *testing.T) {
	release, signature := store.ReleaseFile, store.SignatureFile
	for name, change := range map[string]func(dir string) error{
		"file":      func(d string) error { return os.WriteFile(filepath.Join(d, "new"), nil, 0o644) },
		"version":   func(d string) error { return replace(filepath.Join(d, "plugin.toml"), "1.0.0", "1.0.1") },
		"release":   func(d string) error { return replace(filepath.Join(d, release), "1.0.0", "1.0.1") },
		"comment":   func(d string) error { return replace(filepath.Join(d, signature), "comment: x 1", "comment: y 1") },
		"truncated": func(d string) error { return os.WriteFile(filepath.Join(d, signature), []byte("untrusted"), 0o644) },
		"no release": func(d string) error {
			return os.Remove(filepath.Join(d, release))
		},
		"large": func(d string) error { return os.WriteFile(filepath.Join(d, signature), make([]byte, 1<<20), 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			p := plugin(t)
			keys, private := keyPair(t)
			_, err := Sign(p, private, "")
			must(t, err)
			must(t, change(p.Dir))
			if s, err := check(t, p, keys); err == nil || !strings.Contains(err.Error(), "the signature of plugin x is not valid") || !strings.Contains(err.Error(), "bridge plugin sign") {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
}

// A validly signed release of another version does not make this one valid.
func TestSignatureOfAnotherRelease(t *testing.T) {
	keys, private := keyPair(t)
	old := plugin(t)
	_, err := Sign(old, private, "")
	must(t, err)
	p := plugin(t)
	must(t, replace(filepath.Join(p.Dir, "plugin.toml"), "1.0.0", "2.0.0"))
	for _, name := range []string{store.ReleaseFile, store.SignatureFile} {
		text, err := os.ReadFile(filepath.Join(old.Dir, name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(p.Dir, name), text, 0o644))
	}
	if _, err := check(t, p, keys); err == nil || !strings.Contains(err.Error(), "it is for x 1.0.0") || !strings.Contains(err.Error(), "the folder has x 2.0.0") {
		t.Errorf("got %v", err)
	}
}

func replace(path, old, new string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(strings.ReplaceAll(string(text), old, new)), 0o644)
}

// minisign accepts signatures from bridge, and bridge accepts those from minisign.
func TestMinisign(t *testing.T) {
	tool, err := exec.LookPath("minisign")
	if err != nil {
		testenv.Lacking(t, "minisign", err)
	}
	run := func(dir string, args ...string) {
		t.Helper()
		cmd := exec.Command(tool, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("minisign %v: %v\n%s", args, err, out)
		}
	}
	p := plugin(t)
	public, private, err := NewKey()
	must(t, err)
	_, err = Sign(p, private, "")
	must(t, err)
	run(p.Dir, "-V", "-m", store.ReleaseFile, "-P", public)

	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	run(dir, "-G", "-W", "-p", key+".pub", "-s", key)
	text, err := os.ReadFile(key + ".pub")
	must(t, err)
	keys, err := ParseKeys(map[string]string{"tool": strings.TrimSpace(string(text[strings.IndexByte(string(text), '\n'):]))})
	must(t, err)
	run(p.Dir, "-S", "-s", key, "-m", store.ReleaseFile)
	if s, err := check(t, p, keys); err != nil || s.Name != "tool" {
		t.Errorf("signed by the tool: %+v, %v", s, err)
	}
	ofTool, err := os.ReadFile(key)
	must(t, err)
	if _, err := Sign(p, string(ofTool), ""); err != nil {
		t.Errorf("with the tool's key: %v", err)
	}
	if s, err := check(t, p, keys); err != nil || s.Name != "tool" {
		t.Errorf("signed with the tool's key: %+v, %v", s, err)
	}
	must(t, os.WriteFile(key+"2", []byte(private), 0o600))
	run(p.Dir, "-S", "-s", key+"2", "-m", store.ReleaseFile)
	run(p.Dir, "-V", "-m", store.ReleaseFile, "-P", public)
}

// A password costs 1 GiB and seconds by minisign's design.
func TestEncryptedKey(t *testing.T) {
	if os.Getenv("BRIDGE_TEST_LONG") == "" {
		t.Skip("BRIDGE_TEST_LONG is not set")
	}
	p := plugin(t)
	_, private := keyPair(t)
	locked, err := Encrypt(private, "open sesame")
	if err != nil || !Encrypted(locked) || Encrypted(private) {
		t.Fatalf("encrypted: %v, %v, %v", Encrypted(locked), Encrypted(private), err)
	}
	if _, err := Sign(p, locked, "wrong"); err == nil || !strings.Contains(err.Error(), "and its password") {
		t.Errorf("wrong password: %v", err)
	}
	if _, err := Sign(p, locked, "open sesame"); err != nil {
		t.Error(err)
	}
}

func TestInvalidKeys(t *testing.T) {
	if _, err := ParseKeys(map[string]string{"me": "RWx"}); err == nil || !strings.Contains(err.Error(), `the key "me"`) {
		t.Errorf("got %v", err)
	}
	if _, err := Sign(plugin(t), "secret", ""); err == nil || !strings.Contains(err.Error(), "bridge plugin keygen") {
		t.Errorf("got %v", err)
	}
}
