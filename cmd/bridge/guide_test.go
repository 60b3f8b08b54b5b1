package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/internal/testenv"
)

const guideFile = "../../docs/plugins.md"

// guideBlock is a fenced block of commands in the guide.
type guideBlock struct {
	line   int
	script string
}

// guideBlocks finds the fenced blocks of shell commands.
func guideBlocks(text string) (blocks []guideBlock) {
	n, inside := 0, false
	for line := range strings.Lines(text) {
		n++
		switch {
		case strings.HasPrefix(line, "```sh"):
			inside, blocks = true, append(blocks, guideBlock{line: n})
		case strings.HasPrefix(line, "```"):
			inside = false
		case inside:
			blocks[len(blocks)-1].script += line
		}
	}
	return blocks
}

// guideShell returns an empty folder. It makes `bridge` this program, and moves the user's
// folders of bridge to temporary ones.
func guideShell(t *testing.T) (dir string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\n%s=1 exec '%s' \"$@\"\n", commandVariable, self)
	if err := os.WriteFile(filepath.Join(bin, "bridge"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	testenv.Cache(t)
	for _, variable := range []string{"BRIDGE_CONFIG", "BRIDGE_DATA"} {
		t.Setenv(variable, t.TempDir())
	}
	return t.TempDir()
}

// All commands of the guide succeed, one after the other. Recipes are shortened. The blocks for
// Python need the packages that a project pins.
func TestGuide(t *testing.T) {
	text, err := os.ReadFile(guideFile)
	if err != nil {
		t.Fatal(err)
	}
	blocks := guideBlocks(string(text))
	if len(blocks) < 10 {
		t.Fatalf("the guide has %d blocks of commands", len(blocks))
	}
	offline(t)
	dir := guideShell(t)
	for _, b := range blocks {
		t.Run(fmt.Sprintf("line %d", b.line), func(t *testing.T) {
			var packages []string
			if strings.Contains(b.script, "pywords") {
				packages = usePinnedPython(t)
			}
			cmd := exec.CommandContext(t.Context(), "/bin/sh", "-e", "-c", b.script)
			cmd.Dir, cmd.WaitDelay = dir, time.Second
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s%v\n%s", b.script, err, out)
			}
			shortenRecipes(t, dir)
			addTestPackages(t, filepath.Join(dir, "pywords"), packages)
		})
	}
}

// The test above runs every command of the guide: all fenced blocks are for a shell, and no
// other text has a command.
func TestGuideHasNoOtherCommands(t *testing.T) {
	text, err := os.ReadFile(guideFile)
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile(`^\s*(\$ )?(\w+=\S* )*(\./|\.venv/bin/)?` +
		`(bridge|bridge-adapter-\w+|go|python3?|pip3?|cd|tar|git|make|sh|cp|mv|rm|export) `)
	for i, line := range linesOutsideBlocks(string(text)) {
		if strings.HasPrefix(line, "```") {
			t.Errorf("line %d opens a block with %s, want ```sh, which a test runs", i, strings.TrimSpace(line))
		}
		if strings.HasPrefix(line, "    ") && command.MatchString(line) {
			t.Errorf("line %d is a command that no test runs: %s", i, strings.TrimSpace(line))
		}
	}
}

// linesOutsideBlocks returns the lines outside the blocks that [guideBlocks] finds, by number.
func linesOutsideBlocks(text string) map[int]string {
	lines := map[int]string{}
	n, inside := 0, false
	for line := range strings.Lines(text) {
		n++
		switch {
		case strings.HasPrefix(line, "```sh"):
			inside = true
		case inside && strings.HasPrefix(line, "```"):
			inside = false
		case !inside:
			lines[n] = line
		}
	}
	return lines
}

// usePinnedPython is [usePythonOffline] with a check that the packages have the versions that a
// project pins.
func usePinnedPython(t *testing.T) (packages []string) {
	t.Helper()
	packages = usePythonOffline(t)
	pins, err := os.ReadFile("../../plugins/project/template/python/requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	list := exec.Command("python3", "-c", "import grpc, numpy; print('grpcio==' + grpc.__version__); print('numpy==' + numpy.__version__)")
	have, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, pin := range strings.Fields(string(have)) {
		if !strings.Contains(string(pins), pin) {
			testenv.Lacking(t, "a Python with the packages that projects pin", fmt.Errorf("%s has %s; install the packages in "+
				"plugins/project/template/python/requirements.txt", testenv.PythonVariable, pin))
		}
	}
	return packages
}

// shortenRecipes makes the projects' recipes as short as possible.
func shortenRecipes(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "recipe.toml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "[run]") {
			continue
		}
		for key, value := range map[string]string{
			"steps": "6", "warmup": "1", "batch": "4", "every": "0", "examples": "4", "captions": "2",
		} {
			text = regexp.MustCompile(`(?m)^`+key+` = .*$`).ReplaceAll(text, []byte(key+" = "+value))
		}
		writeFile(t, file, strings.Replace(string(text), "pictures = 1000", "pictures = 32", 1)+"\n[run]\nbackend = \"go\"\n")
	}
}

// addTestPackages adds the tests' packages to the .venv of a project.
func addTestPackages(t *testing.T, project string, packages []string) {
	t.Helper()
	for _, site := range sitePackages(t, project) {
		if len(packages) > 0 {
			writeFile(t, filepath.Join(site, "of_the_tests.pth"), strings.Join(packages, "\n")+"\n")
		}
	}
}

func sitePackages(t *testing.T, project string) []string {
	t.Helper()
	site, err := filepath.Glob(filepath.Join(project, ".venv", "lib", "python3*", "site-packages"))
	if err != nil {
		t.Fatal(err)
	}
	return site
}
