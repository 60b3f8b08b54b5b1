// Package execerr explains why the kernel does not run a file. The kernel's own errors, such as
// "exec format error", do not tell people which file it is and what it needs.
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

	"github.com/modular-bridging/bridge/internal/shell"
)

// Explain returns the reason for err, the error of starting a program, and a remedy. Both are empty
// if the reason is not known.
func Explain(path string, err error) (fact, remedy string) {
	info, statErr := os.Stat(path)
	switch {
	case statErr != nil:
		return "", ""
	case info.IsDir():
		return path + " is a folder, want a program", "name the program in it, or a folder with a plugin.toml"
	case errors.Is(err, fs.ErrPermission) && info.Mode().Perm()&0o111 == 0:
		return path + " is not executable", "chmod +x " + shell.Path(path)
	case errors.Is(err, fs.ErrPermission):
		return path + " is executable, but the system does not let it run",
			"check that its file system is not mounted noexec, and that you can enter the folders above it"
	case errors.Is(err, syscall.ENOEXEC):
		return describeFile(path)
	case errors.Is(err, fs.ErrNotExist): // the file exists, so a file that it needs is missing
		return describeMissing(path)
	}
	return "", ""
}

// thisSystem returns the platform that programs must be built for.
func thisSystem() string { return runtime.GOOS + "/" + runtime.GOARCH }

// describeFile describes a file that is not a program for this machine.
func describeFile(path string) (fact, remedy string) {
	get := "get it, or build it, for " + thisSystem()
	if f, err := elf.Open(path); err == nil {
		defer f.Close()
		if f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
			return path + " is compiled code, but not a program", "name the linked program"
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
		`start a script with a line that names its interpreter: #!/bin/sh or #!/usr/bin/env python3`
}

// machine returns the processor of an ELF file, with Go's name if Go has one.
func machine(f *elf.File) string {
	names := map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_386: "386", elf.EM_ARM: "arm",
		elf.EM_RISCV: "riscv64", elf.EM_PPC64: "ppc64", elf.EM_S390: "s390x", elf.EM_LOONGARCH: "loong64"}
	if name, ok := names[f.Machine]; ok {
		return name
	}
	return f.Machine.String()
}

// describeMissing names the missing file that is needed to run a file: the interpreter of a script,
// or the loader of a program.
func describeMissing(path string) (fact, remedy string) {
	if line, ok := bytes.CutPrefix(firstBytes(path), []byte("#!")); ok {
		line, _, _ = bytes.Cut(line, []byte("\n"))
		words := strings.Fields(string(line))
		switch {
		case len(words) == 0:
			return path + " names no interpreter after #!", "start it with #!/bin/sh or #!/usr/bin/env python3"
		case strings.HasSuffix(string(line), "\r"):
			return fmt.Sprintf("%s is a script for %q, with Windows line ends", path, words[0]+"\r"), "save it with Unix line ends"
		}
		return fmt.Sprintf("%s is a script for %s, which does not exist", path, words[0]),
			"install it, or build the plugin again on this machine: a virtual environment works only where it was made"
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
			return fmt.Sprintf("%s needs the loader %s, which does not exist", path, bytes.TrimRight(loader, "\x00")),
				"get it, or build it, for the C library of this machine, or link it statically"
		}
	}
	return "", ""
}

// firstBytes returns the beginning of a file.
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
