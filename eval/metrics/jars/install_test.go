package jars

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/wheels"
)

// shop is a folder with a fake pip and a fake mvn, which give out files of it.
type shop struct {
	t   *testing.T
	dir string
}

func newShop(t *testing.T) shop {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the fake programs are shell scripts")
	}
	s := shop{t, t.TempDir()}
	s.program("pip", `[ "$1" = --version ] && exit 0
while [ "$1" != --dest ]; do shift; done
cp "`+s.dir+`/wheel" "$2/p-1-py3-none-any.whl"`)
	s.program("mvn", `for a in "$@"; do case "$a" in -DoutputDirectory=*) out="${a#*=}" ;; esac; done
cp "`+s.dir+`"/*.jar "$out"`)
	t.Setenv("PIP", filepath.Join(s.dir, "pip"))
	t.Setenv("MVN", filepath.Join(s.dir, "mvn"))
	return s
}

func (s shop) program(name, script string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		s.t.Fatal(err)
	}
}

// wheel writes a wheel with the members that the programs need.
func (s shop) wheel(members ...string) wheels.Wheel {
	s.t.Helper()
	var data bytes.Buffer
	z := zip.NewWriter(&data)
	for _, m := range members {
		w, err := z.Create("pycocoevalcap/" + m)
		if err == nil {
			_, err = w.Write([]byte(m))
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		s.t.Fatal(err)
	}
	return wheels.Wheel{Package: "p", Version: "1", SHA256: s.file("wheel", data.Bytes())}
}

// file writes a file and returns its checksum.
func (s shop) file(name string, data []byte) string {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), data, 0o644); err != nil {
		s.t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// artifacts writes all artifacts, with their own checksums.
func (s shop) artifacts() []artifact {
	files := artifacts()
	for i, a := range files {
		files[i].sha256 = s.file(a.file(), []byte(a.file()))
	}
	return files
}

var members = []string{"meteor/meteor-1.5.jar", "meteor/data/paraphrase-en.gz", "tokenizer/stanford-corenlp-3.4.1.jar", "spice/spice-1.0.jar",
	"spice/lib/guava-19.0.jar", "meteor/meteor.py"}

// fakeJava lets the parts count as complete without Java.
func fakeJava(t *testing.T) { t.Setenv("JAVA_HOME", t.TempDir()) }

func TestInstall(t *testing.T) {
	fakeJava(t)
	s, folder := newShop(t), Folder(filepath.Join(t.TempDir(), "caption-metrics"))
	w, files := s.wheel(members...), s.artifacts()
	if err := folder.install(t.Context(), io.Discard, w, files); err != nil {
		t.Fatal(err)
	}
	for _, part := range []Part{Tokenizer, METEOR, SPICE} {
		if err := folder.Missing(part); err != nil {
			t.Errorf("%s: %v", part, err)
		}
	}
	if _, err := os.Stat(folder.path(wheelFolder + "/meteor/meteor.py")); err == nil {
		t.Error("the wheel's Python files are there")
	}
	s.program("pip", "exit 1")
	s.program("mvn", "exit 1")
	var log bytes.Buffer
	if err := folder.install(t.Context(), &log, w, files); err != nil || strings.Count(log.String(), "is there already") != 2 {
		t.Errorf("again: %v, %s", err, log.String())
	}
}

func TestInstallNamesWhatFails(t *testing.T) {
	fakeJava(t)
	for name, c := range map[string]struct {
		spoil  func(s shop, w *wheels.Wheel, files []artifact)
		want   string
		meteor bool // METEOR is installed all the same
	}{
		"another wheel": {func(s shop, w *wheels.Wheel, _ []artifact) { w.SHA256 = strings.Repeat("0", 64) }, "not the wheel that was checked", false},
		"no pip":        {func(s shop, _ *wheels.Wheel, _ []artifact) { s.program("pip", "exit 1") }, "does not run", false},
		"no Maven": {func(s shop, _ *wheels.Wheel, _ []artifact) { s.t.Setenv("MVN", filepath.Join(s.dir, "none")) },
			"the libraries of SPICE come through Maven", true},
		"offline":      {func(s shop, _ *wheels.Wheel, _ []artifact) { s.program("mvn", "exit 1") }, "Maven could not fetch", true},
		"another file": {func(s shop, _ *wheels.Wheel, files []artifact) { files[3].sha256 = files[2].sha256 }, "asm-7.3.1.jar is not the file that was checked", true},
		"no file":      {func(s shop, _ *wheels.Wheel, files []artifact) { os.Remove(filepath.Join(s.dir, files[0].file())) }, "Maven did not fetch stanford-corenlp-3.6.0.jar", true},
	} {
		t.Run(name, func(t *testing.T) {
			s, folder := newShop(t), Folder(filepath.Join(t.TempDir(), "caption-metrics"))
			w, files := s.wheel(members...), s.artifacts()
			s.t = t
			c.spoil(s, &w, files)
			err := folder.install(t.Context(), io.Discard, w, files)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if adapters.KindOf(folder.Missing(SPICE)) != adapters.NotFound {
				t.Error("SPICE counts as installed")
			}
			if there := folder.Missing(METEOR) == nil; there != c.meteor {
				t.Errorf("METEOR is installed: %v", there)
			}
			entries, _ := os.ReadDir(string(folder))
			for _, e := range entries {
				if e.Name() != wheelFolder {
					t.Errorf("left behind: %s", e.Name())
				}
			}
		})
	}
}

// The project names every file and no library that these need.
func TestProjectFile(t *testing.T) {
	text := string(projectFile(artifacts()))
	for _, want := range []string{"<classifier>models</classifier>", "<artifactId>nashorn-core</artifactId>", "<artifactId>*</artifactId>", "http://maven.apache.org/POM/4.0.0"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	if n := strings.Count(text, "<dependency>"); n != len(artifacts()) {
		t.Errorf("%d dependencies", n)
	}
	for _, a := range artifacts() {
		if raw, err := hex.DecodeString(a.sha256); err != nil || len(raw) != sha256.Size {
			t.Errorf("%+v", a)
		}
	}
}

func TestReadSPICE(t *testing.T) {
	got, err := readSPICE([]byte(`[{"image_id": 1, "scores": {"All": {"f": 0.5}}}, {"image_id": 0, "scores": {"All": {"f": 0}, "Color": {"f": null}}}]`), 2)
	if err != nil || got[0] != 0 || got[1] != 0.5 {
		t.Errorf("%v, %v", got, err)
	}
	for text, want := range map[string]string{`[{"image_id": 0, "scores": {"All": {"f": null}}}]`: "no score for caption 0 of 1", `[]`: "no score", `{`: "not what is expected"} {
		if _, err := readSPICE([]byte(text), 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Without Java the error says so; with files missing it names the file.
func TestMissingJavaIsNamed(t *testing.T) {
	s, folder := newShop(t), Folder(t.TempDir())
	if err := folder.installWheel(t.Context(), io.Discard, s.wheel(members...)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("JAVA_HOME", "")
	t.Setenv("PATH", t.TempDir())
	if err := folder.Missing(METEOR); err == nil || !strings.Contains(err.Error(), "Java is not installed") {
		t.Errorf("%v", err)
	}
}
