// Package jars runs the official Java programs of caption metrics as separate processes: the
// Stanford PTB tokenizer, METEOR 1.5 and SPICE. bridge carries and links none of them, because
// their licences (GPL, LGPL, AGPL) are not bridge's: [Folder.Install] downloads them for the
// user, and without them an error names what is missing. Nothing replaces them.
//
// The package knows how the programs are called and what they print. It does not decide which
// texts are scored.
package jars

import (
	"os"
	"os/exec"
	"path/filepath"

	"github.com/modular-bridging/bridge/adapters"
)

// Folder is the path of the folder that [Folder.Install] fills. It may not exist.
type Folder string

// The folders in a Folder, and the files that the programs need.
const (
	wheelFolder = "pycocoevalcap-1.2"
	mavenFolder = "maven-1"

	tokenizerJar = wheelFolder + "/tokenizer/stanford-corenlp-3.4.1.jar"
	meteorJar    = wheelFolder + "/meteor/meteor-1.5.jar"
	meteorTable  = wheelFolder + "/meteor/data/paraphrase-en.gz"
	spiceJar     = wheelFolder + "/spice/spice-1.0.jar"
)

// Part names one of the programs.
type Part string

// The parts.
const (
	Tokenizer Part = "PTB tokenizer (Java)"
	METEOR    Part = "METEOR"
	SPICE     Part = "SPICE"
)

// files returns the files that a part needs.
func (p Part) files() []string {
	switch p {
	case Tokenizer:
		return []string{tokenizerJar}
	case METEOR:
		return []string{meteorJar, meteorTable}
	}
	files := []string{spiceJar}
	for _, a := range artifacts() {
		files = append(files, mavenFolder+"/"+a.file())
	}
	return files
}

// Missing returns nil if a part can run, and otherwise an error that names what is missing: a
// file, or Java. The kind is [adapters.NotFound].
func (f Folder) Missing(part Part) error {
	if err := f.missingFile(part); err != nil {
		return err
	}
	_, err := java()
	return err
}

// missingFile returns an error that names the first file of a part that is not there.
func (f Folder) missingFile(part Part) error {
	for _, name := range part.files() {
		if _, err := os.Stat(f.path(name)); err != nil {
			return adapters.Errorf(adapters.NotFound, "%s is not installed: there is no %s", part, f.path(name)).
				WithRemedy("bridge doctor --install caption-metrics downloads it")
		}
	}
	return nil
}

// path returns the path of a file in the folder.
func (f Folder) path(name string) string { return filepath.Join(string(f), filepath.FromSlash(name)) }

// java returns the path of the Java runtime: that of JAVA_HOME, or the one in PATH.
func java() (string, error) {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		return filepath.Join(home, "bin", "java"), nil
	}
	path, err := exec.LookPath("java")
	if err != nil {
		return "", adapters.Errorf(adapters.NotFound, "Java is not installed: %w", err).
			WithRemedy("install a Java runtime, version 8 or newer (on Debian: apt install default-jre-headless), or set JAVA_HOME")
	}
	return path, nil
}
