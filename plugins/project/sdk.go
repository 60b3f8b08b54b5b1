package project

import (
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"

	sources "github.com/modular-bridging/bridge"
)

// The folders of a project that hold the SDKs.
const (
	goSDKDir     = "sdk/bridge"
	pythonSDKDir = "sdk/python"
)

// sdkVersion is the SDK's version in a project's go.mod, which replaces it by a folder.
const sdkVersion = "v0.0.0"

// sdkModules returns the modules that the Go SDK needs beside bridge's own. A test compares
// the list with the go command's.
func sdkModules() []string {
	return []string{
		"github.com/fatih/color", "github.com/golang/protobuf", "github.com/hashicorp/go-hclog", "github.com/hashicorp/go-plugin",
		"github.com/hashicorp/yamux", "github.com/mattn/go-colorable", "github.com/mattn/go-isatty", "github.com/oklog/run",
		"golang.org/x/net", "golang.org/x/sys", "golang.org/x/text", "google.golang.org/genproto/googleapis/rpc",
		"google.golang.org/grpc", "google.golang.org/protobuf",
	}
}

// writeGoSDK writes the Go SDK's module, and the go.mod and go.sum of the project. Versions and
// checksums are those with which bridge was built.
func writeGoSDK(dir, module string) error {
	own, err := fs.ReadFile(sources.Files(), "go.mod")
	if err != nil {
		return err
	}
	ours, err := modfile.Parse("go.mod", own, nil)
	if err != nil {
		return err
	}
	sums, err := fs.ReadFile(sources.Files(), "go.sum")
	if err != nil {
		return err
	}
	carried, err := sdkModule(ours)
	if err != nil {
		return err
	}
	project, err := projectModule(ours, module)
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{
		"go.mod": project, "go.sum": sums, path.Join(goSDKDir, "go.mod"): carried,
	} {
		if err := writeFile(filepath.Join(dir, filepath.FromSlash(name)), text); err != nil {
			return err
		}
	}
	return copySources(dir, goSDKDir, func(file string) bool {
		return !strings.HasPrefix(file, pythonSDKDir) && !strings.HasSuffix(file, "_test.go") && file != "go.mod" && file != "go.sum"
	})
}

// sdkModule returns the go.mod of the SDK's module, with only the modules that it needs.
func sdkModule(ours *modfile.File) ([]byte, error) {
	f := &modfile.File{}
	if err := f.AddModuleStmt(ours.Module.Mod.Path); err != nil {
		return nil, err
	}
	return requirements(f, ours, func(r *modfile.Require) bool { return r.Indirect })
}

// projectModule returns the go.mod of a project, which uses the SDK in its folder.
func projectModule(ours *modfile.File, module string) ([]byte, error) {
	f := &modfile.File{}
	if err := f.AddModuleStmt(module); err != nil {
		return nil, err
	}
	f.AddNewRequire(ours.Module.Mod.Path, sdkVersion, false)
	if err := f.AddReplace(ours.Module.Mod.Path, "", "./"+goSDKDir, ""); err != nil {
		return nil, err
	}
	return requirements(f, ours, func(*modfile.Require) bool { return true }) // the project's own code imports none
}

// requirements adds the Go version and the modules of [sdkModules].
func requirements(f, ours *modfile.File, indirect func(*modfile.Require) bool) ([]byte, error) {
	if err := f.AddGoStmt(ours.Go.Version); err != nil {
		return nil, err
	}
	for _, r := range ours.Require {
		if slices.Contains(sdkModules(), r.Mod.Path) {
			f.AddNewRequire(r.Mod.Path, r.Mod.Version, indirect(r))
		}
	}
	f.SetRequireSeparateIndirect(slices.Clone(f.Require))
	f.Cleanup()
	return f.Format()
}

// copySources writes the embedded sources for which belongs reports true to dir/to.
func copySources(dir, to string, belongs func(file string) bool) error {
	return fs.WalkDir(sources.Files(), ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !belongs(file) {
			return err
		}
		text, err := fs.ReadFile(sources.Files(), file)
		if err != nil {
			return fmt.Errorf("read the embedded %s: %w", file, err)
		}
		return writeFile(filepath.Join(dir, filepath.FromSlash(to), filepath.FromSlash(file)), text)
	})
}

// writePythonSDK writes the Python SDK's package into a project.
func writePythonSDK(dir string) error {
	return copySources(dir, "", func(file string) bool { return strings.HasPrefix(file, pythonSDKDir) })
}
