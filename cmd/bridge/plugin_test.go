package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/internal/sandbox"
	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/plugins/lockfile"
	"github.com/modular-bridging/bridge/plugins/trust"
	"github.com/modular-bridging/bridge/registry"
)

// goldenVision is a golden folder of the family vit.
const goldenVision = "adapters/vit/testdata/golden-quick-gelu"

// testProject is a project's folder with its own configuration, and a plugin beside it that
// serves the family vit.
type testProject struct {
	t       *testing.T
	plugin  string // folder of the plugin, not yet added
	golden  string
	ranFile string // the plugin creates this file when it runs
}

func newTestProject(t *testing.T) *testProject {
	t.Helper()
	golden, err := filepath.Abs(filepath.Join("..", "..", filepath.FromSlash(goldenVision)))
	must(t, err)
	root := t.TempDir()
	w := &testProject{t: t, plugin: filepath.Join(root, "my-vit"), golden: golden, ranFile: filepath.Join(root, "ran")}
	for _, dir := range []string{w.plugin, filepath.Join(root, "project"), filepath.Join(root, "config")} {
		must(t, os.Mkdir(dir, 0o755))
	}
	t.Setenv("BRIDGE_CONFIG", filepath.Join(root, "config"))
	t.Setenv("BRIDGE_DATA", filepath.Join(root, "data"))
	testenv.Cache(t)
	t.Chdir(filepath.Join(root, "project"))
	self, err := os.Executable()
	must(t, err)
	w.write("plugin.toml", "name = 'my-vit'\nversion = '1.0.0'\nprotocol = [1]\nkind = 'vision-encoder'\n"+
		"description = 'another vit'\nenvironment = ['MY_TOKEN']\n")
	w.write("bridge-adapter-my-vit", fmt.Sprintf("#!/bin/sh\necho \"token $MY_TOKEN\" >%s\nexec %s adapter serve vit\n", w.ranFile, self))
	must(t, os.Chmod(filepath.Join(w.plugin, "bridge-adapter-my-vit"), 0o755))
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *testProject) write(name, text string) {
	w.t.Helper()
	must(w.t, os.WriteFile(filepath.Join(w.plugin, name), []byte(text), 0o644))
}

// bridge runs a command, checks its status, and checks that its output contains all of wants.
func (w *testProject) bridge(status int, line string, wants ...string) string {
	w.t.Helper()
	var out bytes.Buffer
	if got := run(w.t.Context(), append([]string{"bridge"}, strings.Fields(line)...), &out, &out); got != status {
		w.t.Fatalf("bridge %s: status %d, want %d\n%s", line, got, status, out.String())
	}
	for _, want := range wants {
		if !strings.Contains(out.String(), want) {
			w.t.Errorf("bridge %s: no %q in\n%s", line, want, out.String())
		}
	}
	return out.String()
}

// Commands that only read or write information about a plugin do not run it.
func TestPluginsAreNotRunByLooking(t *testing.T) {
	w := newTestProject(t)
	w.bridge(exitDone, "plugin list", "no plugins in plugins or ", "bridge plugin add PATH")
	w.bridge(exitDone, "plugin add "+w.plugin, "my-vit 1.0.0: ", "bridge plugin lock my-vit")
	w.bridge(exitDone, "plugin add "+w.plugin+" --user --name other")
	w.bridge(exitFailed, "plugin add "+w.plugin, "plugin my-vit already exists", "bridge plugin remove my-vit --project")
	w.bridge(exitDone, "plugin list", "my-vit  1.0.0    vision-encoder  project  no", "another vit", "other")
	w.bridge(exitDone, "plugin list --json", `"name":"other"`, `"place":"user"`, `"pinned":false`)
	w.bridge(exitDone, "plugin show my-vit", "digest           tree1-sha256:", "signed by        nobody", "requests         MY_TOKEN")
	w.bridge(exitDone, "plugin show ./plugins/my-vit --json", `"digest":"tree1-sha256:`, `"environment":["MY_TOKEN"]`)
	w.bridge(exitDone, "plugin lock", "my-vit: pinned, tree1-sha256:", "other: pinned")
	w.bridge(exitDone, "plugin lock --check", "my-vit: matches its pin", "other: matches its pin")
	w.bridge(exitDone, "doctor", "my-vit 1.0.0, a vision-encoder of the project, in ",
		"as locked; signed by nobody; sees the variables that every plugin sees, requests MY_TOKEN", "sandbox none")
	w.bridge(exitDone, "recipes check tiny-stage1 --set vision.plugin=my-vit --set vision.locked=true", `plugin = "`, "locked = true")
	w.bridge(exitDone, "plugin keygen my.key --no-password")
	w.bridge(exitDone, "plugin sign ./plugins/my-vit --key my.key")
	w.bridge(exitDone, "models list")
	w.bridge(exitFailed, "plugin remove my-vitt", "did you mean my-vit?")
	w.bridge(exitDone, "plugin remove my-vit", "removed plugins")
	if lock, err := lockfile.Read(lockfile.Name); err != nil || len(lock.Plugins) != 1 {
		t.Errorf("the lock has %v, %v", lock.Plugins, err)
	}
	w.bridge(exitDone, "plugin list --json", `"name":"other"`)
	if _, err := os.Stat(w.ranFile); err == nil {
		t.Error("a plugin was run")
	}
}

func TestLockedPlugins(t *testing.T) {
	w := newTestProject(t)
	w.bridge(exitDone, "plugin add "+w.plugin)
	verify := "verify " + w.golden + " --plugin my-vit --backend go"
	w.bridge(exitFailed, verify+" --locked", "plugin my-vit is not in bridge.lock", "bridge plugin lock my-vit")
	w.bridge(exitFailed, "plugin test ./plugins/my-vit --locked", "plugin my-vit is not in bridge.lock")
	manifest, err := os.ReadFile("plugins/my-vit/plugin.toml")
	must(t, err)
	must(t, os.WriteFile("plugins/my-vit/plugin.toml", append(manifest, "[build]\ncommand = ': >"+w.ranFile+"'\n"...), 0o644))
	for _, flag := range []string{"--locked", "--require-signed"} { // checked before the build
		w.bridge(exitFailed, "plugin test ./plugins/my-vit "+flag)
	}
	must(t, os.WriteFile("plugins/my-vit/plugin.toml", manifest, 0o644))
	if _, err := os.Stat(w.ranFile); err == nil {
		t.Error("a plugin that is not locked was built")
	}
	recipe := "train tiny-stage1 --set vision={plugin=\"my-vit\",path=\"" + filepath.Join(w.golden, "checkpoint") + "\"} --out run"
	w.bridge(exitFailed, recipe+" --set vision.locked=true", "plugin my-vit is not in bridge.lock")
	settings := filepath.Join(registry.ConfigDir(), trust.SettingsFile)
	must(t, os.WriteFile(settings, []byte("locked = true\n"), 0o644))
	for _, line := range []string{verify, recipe} {
		w.bridge(exitFailed, line, "plugin my-vit is not in bridge.lock")
	}
	must(t, os.Remove(settings))
	if _, err := os.Stat(w.ranFile); err == nil {
		t.Error("a plugin that is not locked was run")
	}
	w.bridge(exitDone, verify, "is not locked", "requests variables that it may not see", "MY_TOKEN")
	if _, err := os.Stat(w.ranFile); err != nil {
		t.Error("the plugin was not run")
	}
	w.bridge(exitDone, "plugin lock my-vit")
	w.bridge(exitDone, verify+" --locked")
	must(t, os.WriteFile("plugins/my-vit/sitecustomize.py", nil, 0o644))
	w.bridge(exitFailed, verify, "plugin my-vit differs from its lock", "sitecustomize.py was added", "bridge plugin lock my-vit")
	w.bridge(exitFailed, "plugin lock --check", "sitecustomize.py was added")
	w.bridge(exitFailed, "plugin show my-vit", "pinned           CHANGED",
		"would not start  plugin my-vit differs from its lock", "bridge: plugin my-vit would not start")
	w.bridge(exitFailed, "plugin show my-vit --json", `"pinned":true`, `"problem":"plugin my-vit differs from its lock`)
	w.bridge(exitDone, "plugin list", "project  CHANGED  no      plugin my-vit differs from its lock")
	w.bridge(exitDone, "doctor", "warning: it would not start: plugin my-vit differs from its lock")
	w.bridge(exitDone, "plugin lock", "my-vit: pinned again: the digest was ", "sitecustomize.py was added")
	w.bridge(exitDone, "plugin lock", "my-vit: matches its pin")
	w.bridge(exitDone, verify+" --locked")
}

func TestSignedPlugins(t *testing.T) {
	w := newTestProject(t)
	verify := "verify " + w.golden + " --backend go --require-signed --plugin " + w.plugin
	w.bridge(exitFailed, verify, "plugin my-vit is not signed, and require_signed is set", "bridge plugin sign")
	w.bridge(exitFailed, "plugin add "+w.plugin+" --require-signed", "plugin my-vit is not signed, and require_signed is set")
	w.bridge(exitDone, "plugin add "+w.plugin+" --user", "  signed by nobody\n")
	w.bridge(exitDone, "plugin remove my-vit --user")
	out := w.bridge(exitDone, "plugin keygen my.key --no-password", "plugins.toml")
	if info, err := os.Stat("my.key"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key is %v, %v", info, err)
	}
	w.bridge(exitFailed, "plugin keygen my.key --no-password", "already exists")
	w.bridge(exitUsage, "plugin sign "+w.plugin, "needs --key FILE")
	w.bridge(exitDone, "plugin sign "+w.plugin+" --key my.key", "my-vit 1.0.0 is signed: tree1-sha256:")
	w.bridge(exitFailed, verify, "which you do not trust", "[keys] in plugins.toml")
	w.bridge(exitFailed, "plugin add "+w.plugin+" --require-signed", "which you do not trust")
	if left, err := os.ReadDir("plugins"); err == nil && len(left) > 0 {
		t.Errorf("the refused plugin left %v", left)
	}
	w.bridge(exitDone, "plugin add "+w.plugin, "  signed by unknown key ")
	w.bridge(exitDone, "plugin list", "project  no      unknown key ")
	w.bridge(exitDone, "plugin list --json", `"signed":false,"`, `"signature":"unknown key `)
	w.bridge(exitFailed, "plugin show my-vit --require-signed", "which you do not trust")
	_, line, _ := strings.Cut(out, "NAME = ")
	settings := filepath.Join(registry.ConfigDir(), trust.SettingsFile)
	must(t, os.WriteFile(settings, []byte("require_signed = true\n[keys]\nme = "+line), 0o644))
	w.bridge(exitDone, strings.Replace(verify, "--require-signed ", "", 1))
	w.bridge(exitDone, "plugin show "+w.plugin, "signed by        me (key ")
	w.bridge(exitDone, "plugin add "+w.plugin+" --user", "  signed by me (key ")
	w.bridge(exitDone, "plugin remove my-vit --user")
	w.bridge(exitDone, "plugin list", "project  no      yes, me (key ")
	w.bridge(exitDone, "plugin list --json", `"signed":true`, `"signature":"me (key `)
	w.write("new", "")
	w.bridge(exitFailed, "plugin add "+w.plugin+" --user", "the signature of plugin my-vit is not valid")
	must(t, os.WriteFile("plugins/my-vit/new", nil, 0o644))
	w.bridge(exitDone, "plugin list", "project  no      INVALID  the signature of plugin my-vit is not valid")
	w.bridge(exitFailed, "plugin show my-vit", "signed by        INVALID: the signature of plugin my-vit is not valid")
	must(t, os.Chmod("plugins/my-vit", 0o777))
	w.bridge(exitDone, "plugin list", "not checked")
	w.bridge(exitFailed, verify, "the signature of plugin my-vit is not valid")
}

// A project that was unpacked from a release must be built before it is used.
func TestUnbuiltProjectsAreRefused(t *testing.T) {
	w := newTestProject(t)
	manifest, err := os.ReadFile(filepath.Join(w.plugin, "plugin.toml"))
	must(t, err)
	w.write("plugin.toml", string(manifest)+"[build]\ncommand = 'mkdir .venv'\nmakes = ['.venv']\n")
	message, remedy := "plugin my-vit is not built here: it lacks .venv, which its build makes", "bridge plugin build "+w.plugin
	w.bridge(exitFailed, "plugin add "+w.plugin, message, remedy)
	w.bridge(exitFailed, "plugin show "+w.plugin, "would not start  "+message, remedy)
	w.bridge(exitFailed, "plugin lock "+w.plugin, message, remedy)
	w.bridge(exitFailed, "verify "+w.golden+" --backend go --plugin "+w.plugin, message, remedy)
	w.bridge(exitUsage, "recipes check tiny-stage1 --set vision.plugin=\""+w.plugin+"\"", "vision.plugin: "+message, remedy)
	w.bridge(exitDone, "plugin build "+w.plugin)
	w.bridge(exitDone, "plugin show "+w.plugin)
	w.bridge(exitDone, "plugin add "+w.plugin)
	w.bridge(exitDone, "plugin lock")

	must(t, os.Remove("plugins/my-vit/.venv"))
	w.bridge(exitDone, "doctor", "it would not start: plugin my-vit differs from its lock")
	must(t, os.Remove(lockfile.Name))
	w.bridge(exitDone, "plugin keygen my.key --no-password")
	must(t, os.Remove(filepath.Join(w.plugin, ".venv")))
	w.bridge(exitDone, "plugin sign "+w.plugin+" --key my.key") // in the form of a release
	w.bridge(exitDone, "plugin pack "+w.plugin+" vit.tar.gz")
	public, err := os.ReadFile("my.key.pub")
	must(t, err)
	_, line, _ := strings.Cut(string(public), "\n")
	settings := filepath.Join(registry.ConfigDir(), trust.SettingsFile)
	must(t, os.WriteFile(settings, []byte("[keys]\nme = \""+strings.TrimSpace(line)+"\"\n"), 0o644))
	// A signed release may be built. After that, the signature does not cover the whole plugin.
	w.bridge(exitFailed, "plugin test "+w.plugin+" --require-signed --golden "+w.golden+" --run handshake",
		"without .venv, which was built here")
	w.bridge(exitDone, "plugin lock "+w.plugin+" --require-signed")
}

// Files in a plugin's folder that do not belong to the plugin are neither added, signed nor
// pinned, and the commands list them. A lock file in the plugin's own folder pins the plugin
// without the lock file.
func TestOtherFilesAreSkipped(t *testing.T) {
	w := newTestProject(t)
	w.bridge(exitDone, "plugin keygen my.key --no-password")
	clean := w.bridge(exitDone, "plugin sign "+w.plugin+" --key my.key")
	must(t, os.MkdirAll(filepath.Join(w.plugin, "runs", "t"), 0o755))
	must(t, os.MkdirAll(filepath.Join(w.plugin, ".git"), 0o755))
	w.write("runs/t/report.html", "")
	left := "not part of the plugin, skipped: .git, runs"
	if again := w.bridge(exitDone, "plugin sign "+w.plugin+" --key my.key", left); !strings.HasPrefix(again, clean) {
		t.Errorf("a run in its folder changes the plugin:\n%s%s", clean, again)
	}
	w.bridge(exitDone, "plugin pack "+w.plugin+" vit.tar.gz", "my-vit 1.0.0: vit.tar.gz", left)
	w.bridge(exitUsage, "plugin pack "+w.plugin+" "+w.plugin+"/vit.tar.gz", "is in the plugin's folder")
	w.bridge(exitDone, "plugin add "+w.plugin, left)
	if _, err := os.Stat("plugins/my-vit/runs"); err == nil {
		t.Error("a run was added")
	}
	t.Chdir(w.plugin)
	verify := "verify " + w.golden + " --backend go --locked --plugin ./"
	w.bridge(exitDone, "plugin lock ./", "my-vit: pinned, tree1-sha256:", left)
	w.bridge(exitDone, "plugin lock ./ --check", "my-vit: matches its pin")
	w.bridge(exitDone, verify)
	w.write("runs/t/x.py", "")
	w.bridge(exitFailed, verify, "holds code that does not belong to the plugin", "remove "+w.plugin+"/runs/t/x.py;")
	w.bridge(exitFailed, "plugin lock ./", "runs/t/x.py")
}

func TestTwoPluginsWithOneName(t *testing.T) {
	w := newTestProject(t)
	w.bridge(exitDone, "plugin add "+w.plugin+" --user")
	w.bridge(exitDone, "plugin add "+w.plugin)
	w.bridge(exitDone, "verify "+w.golden+" --backend go --plugin my-vit", "two plugins have this name; the project's is used")
	w.bridge(exitDone, "plugin list", "the user's plugin of this name is not used")
	w.bridge(exitUsage, "plugin remove my-vit --project --user", "--project cannot be combined with --user")
	w.bridge(exitDone, "plugin remove my-vit --user")
	w.bridge(exitDone, "plugin show my-vit", "of               project")
}

// A plugin that already runs can be neither checked nor confined. bridge refuses it if either
// is required.
func TestAttachedPluginsAreNotTrusted(t *testing.T) {
	w := newTestProject(t)
	t.Setenv("BRIDGE_REATTACH", `{"my-vit":{"Protocol":"grpc","ProtocolVersion":1,"Pid":1,"Test":true,`+
		`"Addr":{"Network":"unix","String":"/not/there"}}}`)
	verify := "verify " + w.golden + " --backend go --plugin " + w.plugin
	for _, flag := range []string{"--locked", "--require-signed", "--sandbox on"} {
		w.bridge(exitFailed, verify+" "+flag, "plugin my-vit already runs (BRIDGE_REATTACH)", "unset BRIDGE_REATTACH")
	}
	w.bridge(exitFailed, verify, "/not/there")
	w.bridge(exitDone, "plugin lock "+w.plugin)
	w.bridge(exitFailed, verify,
		"plugin my-vit already runs (BRIDGE_REATTACH), so it cannot be compared with bridge.lock, which pins it",
		"unset BRIDGE_REATTACH; or, to work on the plugin, remove [plugins.my-vit] from bridge.lock")
}

// A plugin in the sandbox computes the same. It cannot read files outside its folder, or use
// the network.
func TestConfinedPlugins(t *testing.T) {
	if err := sandbox.Supported(); err != nil {
		testenv.Lacking(t, "a kernel with sandbox support", err)
	}
	w := newTestProject(t)
	verify := "verify " + w.golden + " --backend go --sandbox on --plugin " + w.plugin
	w.bridge(exitFailed, verify, "Permission denied") // its program is outside its folder
	w.bridge(exitFailed, "plugin test "+w.plugin+" --sandbox on --golden "+w.golden+" --run handshake", "Permission denied")
	self, err := os.Executable()
	must(t, err)
	program, err := os.ReadFile(self)
	must(t, err)
	w.write("program", string(program))
	must(t, os.Chmod(filepath.Join(w.plugin, "program"), 0o755))
	w.write("bridge-adapter-my-vit", "#!/bin/sh\nexec \"$(dirname \"$0\")/program\" adapter serve vit\n")
	w.bridge(exitDone, verify)
	w.bridge(exitDone, "plugin test "+w.plugin+" --sandbox on --golden "+w.golden+" --backend go "+
		"--run ^process|^contract|^golden|spec$", "0 failed")
	w.write("plugin.toml", "name = 'my-vit'\nversion = '1.0.0'\nprotocol = [1]\nkind = 'vision-encoder'\nnetwork = true\n")
	w.bridge(exitFailed, verify, "needs the network, which the sandbox does not allow")
	w.bridge(exitUsage, "doctor --sandbox onn", "--sandbox is \"onn\", want none or on")
}
