package main

import (
	"encoding/json"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	line := regexp.MustCompile(`^bridge version \S+ \(commit [^)]+\), go\S+ \w+/\w+, backends go.*, plugin protocol 1\n$`)
	for _, args := range [][]string{{"--version"}, {"-v"}, {"version"}, {"train", "recipe.toml", "--version"}} {
		if out, _ := mustExit(t, exitDone, args...); !line.MatchString(out) {
			t.Errorf("%v prints %q", args, out)
		}
	}
	out, _ := mustExit(t, exitDone, "version", "--json")
	var got versionInfo
	if err := json.Unmarshal([]byte(out), &got); err != nil || got.Version == "" || got.Protocol != 1 || len(got.Backends) == 0 {
		t.Errorf("version --json prints %s, %v", out, err)
	}
	if _, stderr := mustExit(t, exitUsage, "version", "2"); !strings.Contains(stderr, "bridge version") {
		t.Errorf("the error for an argument is %s", stderr)
	}
}

// The version covers all that the Go command may record in a build.
func TestVersionOfBuilds(t *testing.T) {
	of := func(version string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: version}, Settings: settings}
	}
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"}
	for name, c := range map[string]struct {
		info *debug.BuildInfo
		want string
	}{
		"nothing recorded": {nil, "unreleased (commit not recorded), "},
		"-buildvcs=false":  {of("(devel)"), "unreleased (commit not recorded), "},
		"no version":       {of(""), "unreleased (commit not recorded), "},
		"of a proxy":       {of("v1.2.3"), "v1.2.3 (commit not recorded), "},
		"of a checkout": {of("v1.2.3", revision, debug.BuildSetting{Key: "vcs.modified", Value: "false"}),
			"v1.2.3 (commit 0123456789ab), "},
		"of changed files": {of("(devel)", revision, debug.BuildSetting{Key: "vcs.modified", Value: "true"}),
			"unreleased (commit 0123456789ab, changed), "},
	} {
		if got := versionOf(c.info).String(); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
