package project

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"

	sources "github.com/modular-bridging/bridge"
)

const ours = "github.com/modular-bridging/bridge"

// listed is a package in the output of `go list -json`.
type listed struct {
	ImportPath string
	Standard   bool
	GoFiles    []string
	EmbedFiles []string
	Module     *struct{ Path string }
}

// closure returns the packages that the Go SDK needs, on every system that plugins run on.
func closure(t *testing.T) (all []listed) {
	t.Helper()
	for _, system := range []string{"linux", "darwin"} {
		cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard,GoFiles,EmbedFiles,Module",
			ours+"/adapters", ours+"/adapters/adaptertest", ours+"/plugins")
		cmd.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list: %v\n%s", err, stderr.String())
		}
		for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
			var p listed
			if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if !p.Standard {
				all = append(all, p)
			}
		}
	}
	return all
}

// The binary embeds every package of ours that the SDK imports, and a project requires exactly
// the modules that it needs.
func TestSDKIsComplete(t *testing.T) {
	modules := map[string]bool{}
	for _, p := range closure(t) {
		name, own := strings.CutPrefix(p.ImportPath, ours+"/")
		if !own {
			modules[p.Module.Path] = true
			continue
		}
		for _, file := range slices.Concat(p.GoFiles, p.EmbedFiles) {
			if _, err := fs.Stat(sources.Files(), path.Join(name, file)); err != nil {
				t.Errorf("the SDK imports %s, which the binary does not embed; add it to the go:embed lines of sources.go: %v", p.ImportPath, err)
				break
			}
		}
	}
	var wanted []string
	for m := range modules {
		wanted = append(wanted, m)
	}
	slices.Sort(wanted)
	if !slices.Equal(wanted, sdkModules()) {
		t.Errorf("sdkModules is %q, but the SDK needs\n%q", sdkModules(), wanted)
	}
}
