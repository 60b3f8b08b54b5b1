package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A newcomer's mistakes get an error with the cause and the remedy, before anything is built or
// run.
func TestPluginCommandErrors(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	manifest := "name = 'x'\nversion = '1.0.0'\nprotocol = [1]\nkind = 'language-model'\n"
	for file, text := range map[string]string{
		"empty/":                             "",
		"text.txt":                           "hello\n",
		"unbuilt/plugin.toml":                manifest,
		"folder/plugin.toml":                 manifest,
		"folder/bridge-adapter-x/":           "",
		"plain/plugin.toml":                  manifest,
		"plain/bridge-adapter-x":             "hello\n",
		"misspelt/plugin.toml":               manifest + "nmae = 'y'\n",
		"only-a-folder/bridge-adapter-x/":    "",
		"project/plugin.toml":                manifest + "[build]\ncommand = ': > built'\n",
		"plugins/installed/plugin.toml":      manifest,
		"plugins/installed/bridge-adapter-x": "#!/bin/sh\n",
	} {
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		if strings.HasSuffix(file, "/") {
			must(t, os.MkdirAll(file, 0o755))
			continue
		}
		must(t, os.WriteFile(file, []byte(text), 0o644))
	}
	for _, c := range []struct {
		line   string
		status int
		wants  []string
	}{
		{"test nothing", exitFailed, []string{`no plugin "nothing"`,
			"name an executable, a plugin's folder or project, or builtin:FAMILY"}},
		{"test installed", exitFailed, []string{"bridge plugin test " + filepath.Join(dir, "plugins/installed")}},
		{"test empty", exitFailed, []string{"empty is not a plugin's folder",
			"name a folder with a plugin.toml, or the executable itself"}},
		{"test only-a-folder", exitFailed, []string{"no plugin.toml and 0 executables named bridge-adapter-NAME"}},
		{"test text.txt", exitFailed, []string{"text.txt is not executable", "chmod +x "}},
		{"test unbuilt", exitFailed, []string{"the plugin's executable does not exist", "[build] command in plugin.toml"}},
		{"test folder", exitFailed, []string{"bridge-adapter-x is a folder, want a program"}},
		{"test plain", exitFailed, []string{"bridge-adapter-x is not executable", "chmod +x "}},
		{"test misspelt", exitFailed, []string{"plugin.toml:5: nmae: unknown key; did you mean name?"}},
		{"test project --kind vlm", exitUsage, []string{`--kind is "vlm", want language-model or vision-encoder`}},
		{"test project --checkpoint nowhere", exitFailed, []string{`no checkpoint "nowhere"`}},
		{"test project --golden nowhere", exitFailed, []string{"nowhere is not a golden folder"}},
		{"test project --junit nowhere/x.xml", exitFailed, []string{"the folder nowhere does not exist", "mkdir -p nowhere"}},
		{"test project --run (", exitUsage, []string{"--run: "}},
		{"test project --limit 0s", exitUsage, []string{"--limit is 0s"}},
		{"test project --text a", exitUsage, []string{"--text and --target must be used together"}},
		{"test builtin:otp", exitUsage, []string{"did you mean opt?"}},
		{"test builtin:opt", exitUsage, []string{"needs --checkpoint DIR"}},
		{"build nothing", exitFailed, []string{"nothing is not a plugin's folder", "bridge plugin new NAME"}},
		{"build text.txt", exitFailed, []string{"text.txt is a file, want a plugin's folder", "plugin.toml"}},
		{"add nothing", exitFailed, []string{"no plugin: ", "name a plugin's folder, or its executable"}},
		{"add folder", exitFailed, []string{"bridge-adapter-x is a folder, want a program"}},
		{"add text.txt", exitFailed, []string{"has no plugin.toml next to it", "write one"}},
		{"show nothing", exitFailed, []string{`no plugin "nothing" in plugins or `, "bridge plugin list"}},
		{"lock ./empty", exitFailed, []string{"empty is not a plugin's folder"}},
		{"remove ./plain", exitFailed, []string{`no plugin "./plain"`, "use a name that `bridge plugin list` shows"}},
		{"sign", exitUsage, []string{"want: bridge plugin sign PATH --key FILE"}},
		{"sign plain --key nowhere", exitFailed, []string{"cannot read the key: open nowhere", "bridge plugin keygen"}},
		{"sign plain --key text.txt", exitFailed, []string{"the private key cannot be used"}},
		{"keygen nowhere/key --no-password", exitFailed, []string{"cannot write the key", "a folder that exists"}},
		{"new", exitUsage, []string{"want: bridge plugin new NAME --lang go|python --kind language-model|vision-encoder"}},
		{"new fresh --lang rust", exitUsage, []string{`--lang is "rust", want one of go, python`}},
		{"new empty --lang go --kind language-model", exitFailed, []string{"empty already exists", "--dir"}},
	} {
		var out bytes.Buffer
		status := run(t.Context(), append([]string{"bridge", "plugin"}, strings.Fields(c.line)...), &out, &out)
		if status != c.status {
			t.Errorf("plugin %s: status %d, want %d", c.line, status, c.status)
		}
		for _, want := range c.wants {
			if !strings.Contains(out.String(), want) {
				t.Errorf("plugin %s: no %q in\n%s", c.line, want, out.String())
			}
		}
	}
	if _, err := os.Stat("project/built"); err == nil {
		t.Error("a project was built although its test was wrong usage")
	}
}

// If a language's tools are missing, the error names them and the written files stay.
func TestMissingToolsAreNamed(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("PATH", t.TempDir())
	for language, tool := range map[string]string{
		"go": "install Go, see https://go.dev/doc/install", "python": "install Python 3.9 or newer with its venv",
	} {
		for _, line := range []string{
			fmt.Sprintf("new in-%s --lang %s --kind vision-encoder", language, language), "build in-" + language, "test in-" + language,
		} {
			_, stderr := mustExit(t, exitFailed, append([]string{"plugin"}, strings.Fields(line)...)...)
			if !strings.Contains(stderr, tool) || !strings.Contains(stderr, "then: bridge plugin build ") {
				t.Errorf("plugin %s: %s", line, stderr)
			}
		}
	}
}
