// Package execerr says why the kernel does not run a file: its errors name a
// number ("exec format error") where people need to know what the file is, and what
// it takes.
package execerr

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"syscall"
)

// Explain says what is wrong with a program that was not started for err, and what to
// do about it; both are empty where it cannot tell.
func Explain(path string, err error) (fact, remedy string) {
	info, statErr := os.Stat(path)
	switch {
	case statErr != nil:
		return "", ""
	case info.IsDir():
		return path + " is a folder, want a program", "name the program in it, or a folder with a plugin.toml"
	case errors.Is(err, fs.ErrPermission) && info.Mode().Perm()&0o111 == 0:
		return path + " is not executable", "chmod +x " + path
	case errors.Is(err, fs.ErrPermission):
		return path + " is executable, and the system does not let it run", "look whether its file system is mounted noexec, and whether you can enter the folders above it"
	case errors.Is(err, syscall.ENOEXEC):
		return describeFile(path)
	case errors.Is(err, fs.ErrNotExist): // of what the file needs, for the file is there
		return describeMissing(path)
	}
	return "", ""
}

// thisSystem is the machine that programs have to be for.
func thisSystem() string { return runtime.GOOS + "/" + runtime.GOARCH }

// describeFile says what a file is that no program of this machine is.
func describeFile(path string) (fact, remedy string) {
	get := "get it, or build it, for " + thisSystem()
	if f, err := elf.Open(path); err == nil {
		defer f.Close()
		if f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
			return path + " is compiled code, but no program", "name the linked program"
		}
		return fmt.Sprintf("%s is a program for %s, this machine is %s", path, machine(f), thisSystem()), get
	}
	begin := firstBytes(path)
	for magic, system := range map[string]string{"MZ": "Windows", "\xcf\xfa\xed\xfe": "macOS", "\xca\xfe\xba\xbe": "macOS"} {
		if bytes.HasPrefix(begin, []byte(magic)) {
			return fmt.Sprintf("%s is a program for %s, this machine is %s", path, system, thisSystem()), get
		}
	}
	if len(begin) == 0 {
		return path + " is empty", "build it again"
	}
	return fmt.Sprintf("%s is neither a program nor a script: it begins with %q", path, firstWords(begin)),
		`let a script begin with the line that names what runs it: #!/bin/sh or #!/usr/bin/env python3`
}

// machine is the processor of an ELF file as Go calls it, where Go does.
func machine(f *elf.File) string {
	names := map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_386: "386", elf.EM_ARM: "arm",
		elf.EM_RISCV: "riscv64", elf.EM_PPC64: "ppc64", elf.EM_S390: "s390x", elf.EM_LOONGARCH: "loong64"}
	if name, ok := names[f.Machine]; ok {
		return name
	}
	return f.Machine.String()
}

// describeMissing names what runs a file and is not there: the interpreter of a script, or the
// loader of a program.
func describeMissing(path string) (fact, remedy string) {
	if line, ok := bytes.CutPrefix(firstBytes(path), []byte("#!")); ok {
		line, _, _ = bytes.Cut(line, []byte("\n"))
		words := strings.Fields(string(line))
		switch {
		case len(words) == 0:
			return path + " names no interpreter after #!", "let it begin with #!/bin/sh or #!/usr/bin/env python3"
		case strings.HasSuffix(string(line), "\r"):
			return fmt.Sprintf("%s is a script for %q, with the line ends of Windows", path, words[0]+"\r"), "save it with line ends of Unix"
		}
		return fmt.Sprintf("%s is a script for %s, which is not there", path, words[0]),
			"install that, or build the plugin again on this machine: a virtual environment does not travel"
	}
	f, err := elf.Open(path)
	if err != nil {
		return "", ""
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		loader, err := io.ReadAll(io.LimitReader(p.Open(), 4096))
		if err == nil {
			return fmt.Sprintf("%s wants the loader %s, which is not there", path, bytes.TrimRight(loader, "\x00")),
				"get it, or build it, for the C library of this machine, or linked statically"
		}
	}
	return "", ""
}

// firstBytes is how a file begins.
func firstBytes(path string) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	begin := make([]byte, 256)
	n, _ := io.ReadFull(f, begin)
	return begin[:n]
}

func firstWords(begin []byte) string {
	line, _, _ := bytes.Cut(begin, []byte("\n"))
	return string(line[:min(len(line), 40)])
}
