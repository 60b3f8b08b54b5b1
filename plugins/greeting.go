package plugins

import (
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	goplugin "github.com/hashicorp/go-plugin"

	"github.com/modular-bridging/bridge/adapters"
)

// greeting is the one line that a plugin prints when it can be reached,
// go-plugin's handshake:
//
//	core|protocol|unix|address|grpc|certificate
//
// Fields after these are of later versions of go-plugin.
type greeting struct {
	protocol int
	address  string // of a Unix socket, absolute
}

// maxSocketPath is what the address of a Unix socket holds on Linux, without
// the zero at its end.
const maxSocketPath = 107

// greets is how a line begins that is meant as a greeting.
var greets = regexp.MustCompile(`^\d+\|\d+\|[a-z]*(\||\r?\n?$)`)

// parseGreeting reads a line that begins as a greeting does. Its errors say what
// is wrong with the plugin, or which version of it or of bridge to get; speaks
// has the protocol's majors of this side, name and version are the plugin's.
func parseGreeting(line string, speaks []int, name, version string) (greeting, error) {
	fields := strings.Split(strings.TrimRight(line, "\r\n"), "|")
	core, err := strconv.Atoi(fields[0])
	if err != nil || len(fields) < 2 {
		return greeting{}, malformed("begins with %q", fields[0])
	}
	if core != goplugin.CoreProtocolVersion {
		return greeting{}, adapters.Errorf(adapters.Unsupported, "the plugin speaks version %d of go-plugin's core protocol, bridge speaks %d",
			core, goplugin.CoreProtocolVersion).WithRemedy("get a version of the plugin that is built with an SDK of bridge")
	}
	g := greeting{}
	if g.protocol, err = strconv.Atoi(fields[1]); err != nil {
		return greeting{}, malformed("has the protocol's version %q", fields[1])
	}
	if !slices.Contains(speaks, g.protocol) {
		return greeting{}, wrongVersion(g.protocol, speaks, name, version)
	}
	return g, g.rest(fields[2:])
}

// rest reads what comes after the versions, which only a plugin says that
// speaks a version that this side speaks too.
func (g *greeting) rest(fields []string) error {
	field := func(i int) string {
		if i < len(fields) {
			return fields[i]
		}
		return ""
	}
	if network := field(0); network != "unix" {
		return malformed("has the network %q, want \"unix\"", network)
	}
	g.address = field(1)
	if !filepath.IsAbs(g.address) || len(g.address) > maxSocketPath || strings.ContainsRune(g.address, 0) {
		return malformed("has the address %q, want an absolute path of at most %d bytes", g.address, maxSocketPath)
	}
	if transport := field(2); transport != string(goplugin.ProtocolGRPC) {
		return adapters.Errorf(adapters.Unsupported, "the plugin speaks %q, want \"grpc\"", orNetRPC(transport)).
			WithRemedy("get a version of the plugin that is built with an SDK of bridge")
	}
	der, err := base64.RawStdEncoding.DecodeString(field(3))
	if err == nil && len(der) == 0 {
		return malformed("has no certificate: the plugin does not speak TLS")
	}
	if err != nil {
		return malformed("has a certificate that is not base64 without padding: %w", err)
	}
	if _, err := x509.ParseCertificate(der); err != nil {
		return malformed("has a certificate that cannot be read: %w", err)
	}
	return nil
}

// orNetRPC is what go-plugin means by a transport that is not named.
func orNetRPC(transport string) string {
	if transport == "" {
		return string(goplugin.ProtocolNetRPC)
	}
	return transport
}

func malformed(format string, args ...any) error {
	return adapters.Errorf(adapters.Internal, "the plugin's handshake "+format, args...).
		WithRemedy("this is a bug in the plugin: report it to its author")
}

// wrongVersion says which version of which side to get.
func wrongVersion(theirs int, speaks []int, name, version string) error {
	ours := slices.Sorted(slices.Values(speaks))
	theirVersion, ourVersion := "", ""
	if version != "" {
		theirVersion = " (this is " + version + ")"
	}
	if v := mainVersion(); v != "" {
		ourVersion = " (this is " + v + ")"
	}
	err := adapters.Errorf(adapters.Unsupported, "the plugin speaks version %d of bridge's plugin protocol, this bridge speaks %s", theirs, numbers(ours))
	if newest := ours[len(ours)-1]; theirs > newest {
		return err.WithRemedy("get a newer version of bridge%s, one that speaks version %d; or an older one of plugin %s%s, that speaks version %d",
			ourVersion, theirs, name, theirVersion, newest)
	} else {
		return err.WithRemedy("get a newer version of plugin %s%s, one that speaks version %d; or an older one of bridge%s, that speaks version %d",
			name, theirVersion, newest, ourVersion, theirs)
	}
}

// numbers writes 1, "1 and 2", "1, 2 and 3".
func numbers(list []int) string {
	var words []string
	for _, n := range list {
		words = append(words, strconv.Itoa(n))
	}
	if last := len(words) - 1; last > 0 {
		return fmt.Sprintf("%s and %s", strings.Join(words[:last], ", "), words[last])
	}
	return strings.Join(words, "")
}

// mainVersion is that of the program that runs; empty where it was built from a
// checkout.
func mainVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return ""
}

// majors are the protocol's majors of one side.
func majors(versions map[int]goplugin.PluginSet) []int {
	return slices.Sorted(maps.Keys(versions))
}
