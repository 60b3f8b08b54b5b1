package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/internal/backends"
	"github.com/modular-bridging/bridge/plugins/host"
)

// versionInfo identifies a build of bridge. Its fields are the JSON of the version command.
type versionInfo struct {
	Version  string   `json:"version"`          // of the module, or unreleased
	Commit   string   `json:"commit,omitempty"` // empty if the build did not record it
	Changed  bool     `json:"changed"`          // the source differed from the commit
	Go       string   `json:"go"`
	Platform string   `json:"platform"`
	Backends []string `json:"backends"` // compiled into the binary
	Protocol int      `json:"plugin_protocol"`
}

// unreleased is the version of a build without a module version.
const unreleased = "unreleased"

// versionOf returns the version that the Go command recorded in a binary. info is nil if it
// recorded nothing. A build with -buildvcs=false has no commit.
func versionOf(info *debug.BuildInfo) versionInfo {
	v := versionInfo{Version: unreleased, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Backends: backends.Compiled(), Protocol: host.ProtocolVersion}
	if info == nil {
		return v
	}
	if info.Main.Version != "(devel)" {
		v.Version = cmp.Or(info.Main.Version, unreleased)
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.modified":
			v.Changed = s.Value == "true"
		}
	}
	return v
}

// version returns the version of this program.
func version() versionInfo {
	info, _ := debug.ReadBuildInfo()
	return versionOf(info)
}

// String returns the text after "bridge version".
func (v versionInfo) String() string {
	commit := "commit not recorded"
	if v.Commit != "" {
		commit = "commit " + v.Commit[:min(12, len(v.Commit))]
	}
	if v.Changed {
		commit += ", changed"
	}
	return fmt.Sprintf("%s (%s), %s %s, backends %s, plugin protocol %d",
		v.Version, commit, v.Go, v.Platform, strings.Join(v.Backends, " and "), v.Protocol)
}

// versionCommand returns a command that prints the same as --version.
func (p *program) versionCommand() *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "print the version, commit, Go version, backends and plugin protocol", UsageText: "bridge version [--json]",
		Description: "bridge --version prints the same. The Go command records the commit if it builds with -buildvcs=true, as make\n" +
			"build does.\n\nExample: bridge version --json",
		Flags: []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error {
			if _, err := arguments(c, 0, 0); err != nil {
				return err
			}
			if c.Bool("json") {
				return p.printJSON(version())
			}
			cli.ShowVersion(c)
			return nil
		},
	}
}
