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

// versionInfo says which bridge this is, as --json shows it.
type versionInfo struct {
	Version  string   `json:"version"`          // of the module; unreleased where it has none
	Commit   string   `json:"commit,omitempty"` // empty where the build did not record it
	Changed  bool     `json:"changed"`          // from the commit
	Go       string   `json:"go"`
	Platform string   `json:"platform"`
	Backends []string `json:"backends"` // that the binary can use
	Protocol int      `json:"plugin_protocol"`
}

// unreleased is the version of a build that is of none.
const unreleased = "unreleased"

// versionOf reads what the Go command has recorded in a binary; nil where it has
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

// version is that of this program.
func version() versionInfo {
	info, _ := debug.ReadBuildInfo()
	return versionOf(info)
}

// String is what follows "bridge version".
func (v versionInfo) String() string {
	commit := "commit not recorded"
	if v.Commit != "" {
		commit = "commit " + v.Commit[:min(12, len(v.Commit))]
	}
	if v.Changed {
		commit += ", changed"
	}
	return fmt.Sprintf("%s (%s), %s %s, backends %s, plugin protocol %d", v.Version, commit, v.Go, v.Platform, strings.Join(v.Backends, " and "), v.Protocol)
}

// versionCommand is what --version says, for who looks for a command.
func (p *program) versionCommand() *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "say which bridge this is: version, commit, Go, backends, plugin protocol", UsageText: "bridge version [--json]",
		Description: "bridge --version says the same. A commit is recorded where the Go command builds with it (-buildvcs=true; make build does).\n\n" +
			"Example: bridge version --json",
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
