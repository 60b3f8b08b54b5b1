package trust

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/dirhash"
	"github.com/modular-bridging/bridge/internal/sandbox"
)

// firstExtra is the descriptor that the first of exec.Cmd.ExtraFiles becomes.
const firstExtra = 3

// openFiles is the folder in which Linux shows a process its open files.
const openFiles = "/proc/self/fd"

// pinProgram makes a command start the file whose digest was checked, even if another file
// takes its name in between. Scripts are started by their path, by which an interpreter
// finds the files that belong to them.
func pinProgram(cmd *exec.Cmd, v Verdict) error {
	f, err := os.Open(v.Program)
	if err != nil {
		return adapters.Errorf(adapters.NotFound, "the program of plugin %s: %w", v.Name, err)
	}
	now, err := dirhash.SHA256(f)
	if err != nil {
		f.Close()
		return adapters.Errorf(adapters.Unknown, "the program of plugin %s cannot be read: %w", v.Name, err)
	}
	if now != v.Executable {
		f.Close()
		return adapters.Errorf(adapters.Corrupt, "the program of plugin %s changed while it was checked", v.Name).WithRemedy("see what changes it")
	}
	head := make([]byte, 4)
	_, _ = f.ReadAt(head, 0) // a shorter file is not a program
	if _, err := os.Stat(openFiles); err != nil || !bytes.Equal(head, []byte("\x7fELF")) {
		return f.Close()
	}
	cmd.Path = fmt.Sprintf("%s/%d", openFiles, firstExtra+len(cmd.ExtraFiles))
	cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	return nil
}

// confine puts the plugin into a sandbox. The plugin can read its folder, the checkpoint, and
// the system's programs and libraries. It can write only to its private working folder and
// the given folders.
func (p Policy) confine(cmd *exec.Cmd, v Verdict, writable ...string) error {
	if _, err := p.Confined(v.Plugin); err != nil {
		return err
	}
	read := slices.Concat(sandbox.System(), p.Libraries, p.Read, []string{v.Program})
	if v.Dir != "" {
		read = append(read, v.Dir)
	}
	read = append(read, interpreters(v.Interpreters)...)
	if p.Checkpoint != "" {
		files, err := withTargets(p.Checkpoint)
		if err != nil {
			return err
		}
		read = append(read, files...)
	}
	write := append(append(sandbox.Devices(), cmd.Dir), writable...)
	for _, entry := range cmd.Env {
		if dir, ok := strings.CutPrefix(entry, "PLUGIN_UNIX_SOCKET_DIR="); ok {
			write = append(write, dir)
		}
		if dirs, ok := strings.CutPrefix(entry, "LD_LIBRARY_PATH="); ok {
			read = append(read, filepath.SplitList(dirs)...)
		}
	}
	cmd.Env = append(cmd.Env, "HOME="+cmd.Dir, "XDG_CACHE_HOME="+cmd.Dir, "XDG_DATA_HOME="+cmd.Dir, "BRIDGE_CACHE="+cmd.Dir, "HF_HOME="+cmd.Dir)
	if len(p.Libraries) > 0 { // because HOME does not lead to them any more
		cmd.Env = append(cmd.Env, "PJRT_PLUGIN_LIBRARY_PATH="+strings.Join(p.Libraries, string(filepath.ListSeparator)))
	}
	return sandbox.Policy{Read: read, Write: write}.Confine(cmd)
}

// interpreters returns the files that Python interpreters outside the system need: the
// libraries of PREFIX/bin/python are in PREFIX/lib.
func interpreters(programs []string) []string {
	var files []string
	for _, program := range programs {
		prefix := filepath.Dir(filepath.Dir(program))
		files = append(files, program, filepath.Join(prefix, "lib"), filepath.Join(prefix, "lib64"))
	}
	return files
}

// withTargets returns a folder and the targets of links in it. In the Hugging Face cache, a
// model's files are links.
func withTargets(dir string) ([]string, error) {
	files := []string{dir}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.Type()&fs.ModeSymlink == 0 {
			return err
		}
		if target, err := filepath.EvalSymlinks(path); err == nil {
			files = append(files, target)
		}
		return nil
	})
	if err != nil {
		return nil, adapters.Errorf(adapters.NotFound, "the checkpoint: %w", err)
	}
	return files, nil
}
