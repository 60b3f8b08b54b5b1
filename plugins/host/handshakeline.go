package host

import (
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	goplugin "github.com/hashicorp/go-plugin"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// handshakeLine is the line that a plugin prints when it accepts connections, which is
// go-plugin's handshake:
//
//	core|protocol|unix|address|grpc|certificate
//
// Later versions of go-plugin may add fields.
type handshakeLine struct {
	protocol int
	address  string // of a Unix socket, absolute
}

// maxSocketPath is the longest path of a Unix socket on Linux, without the zero byte at its
// end.
const maxSocketPath = 107

// handshakePattern matches the beginning of a handshake line.
var handshakePattern = regexp.MustCompile(`^\d+\|\d+\|[a-z]*(\||\r?\n?$)`)

// parseHandshakeLine parses a line that matches handshakePattern. Its errors say what is
// wrong with the plugin, or which version of the plugin or of bridge to get. speaks are the
// protocol's major versions of this side; name and version are the plugin's.
func parseHandshakeLine(line string, speaks []int, name, version string) (handshakeLine, error) {
	fields := strings.Split(strings.TrimRight(line, "\r\n"), "|")
	core, err := strconv.Atoi(fields[0])
	if err != nil || len(fields) < 2 {
		return handshakeLine{}, malformedHandshake("begins with %q", fields[0])
	}
	if core != goplugin.CoreProtocolVersion {
		return handshakeLine{}, adapters.Errorf(adapters.Unsupported, "the plugin speaks version %d of go-plugin's core protocol, bridge speaks %d",
			core, goplugin.CoreProtocolVersion).WithRemedy("get a version of the plugin that is built with an SDK of bridge")
	}
	h := handshakeLine{}
	if h.protocol, err = strconv.Atoi(fields[1]); err != nil {
		return handshakeLine{}, malformedHandshake("has the protocol's version %q", fields[1])
	}
	if !slices.Contains(speaks, h.protocol) {
		return handshakeLine{}, wrongVersion(h.protocol, speaks, name, version)
	}
	return h, h.parseRest(fields[2:])
}

// parseRest parses the fields after the versions. Only those of a version that this side
// speaks are known.
func (h *handshakeLine) parseRest(fields []string) error {
	field := func(i int) string {
		if i < len(fields) {
			return fields[i]
		}
		return ""
	}
	if network := field(0); network != "unix" {
		return malformedHandshake("has the network %q, want \"unix\"", network)
	}
	h.address = field(1)
	if !filepath.IsAbs(h.address) || len(h.address) > maxSocketPath || strings.ContainsRune(h.address, 0) {
		return malformedHandshake("has the address %q, want an absolute path of at most %d bytes", h.address, maxSocketPath)
	}
	if transport := field(2); transport != string(goplugin.ProtocolGRPC) {
		return adapters.Errorf(adapters.Unsupported, "the plugin speaks %q, want \"grpc\"", orNetRPC(transport)).
			WithRemedy("get a version of the plugin that is built with an SDK of bridge")
	}
	der, err := base64.RawStdEncoding.DecodeString(field(3))
	if err == nil && len(der) == 0 {
		return malformedHandshake("has no certificate: the plugin does not speak TLS")
	}
	if err != nil {
		return malformedHandshake("has a certificate that is not base64 without padding: %w", err)
	}
	if _, err := x509.ParseCertificate(der); err != nil {
		return malformedHandshake("has a certificate that cannot be read: %w", err)
	}
	return nil
}

// orNetRPC returns the transport, or the one that go-plugin uses if none is named.
func orNetRPC(transport string) string {
	if transport == "" {
		return string(goplugin.ProtocolNetRPC)
	}
	return transport
}

// malformedHandshake returns the error for a line that is no valid handshake.
func malformedHandshake(format string, args ...any) error {
	return adapters.Errorf(adapters.Internal, "the plugin's handshake "+format, args...).
		WithRemedy("this is a bug in the plugin: report it to its author")
}

// wrongVersion returns the error for a plugin that speaks version theirs, and says which
// version of which side to get.
func wrongVersion(theirs int, speaks []int, name, version string) error {
	ours := slices.Sorted(slices.Values(speaks))
	theirVersion, ourVersion := "", ""
	if version != "" {
		theirVersion = " (this is " + version + ")"
	}
	if v := wire.MainVersion(); v != "" {
		ourVersion = " (this is " + v + ")"
	}
	err := adapters.Errorf(adapters.Unsupported, "the plugin speaks version %d of bridge's plugin protocol, this bridge speaks %s", theirs, joinNumbers(ours))
	if newest := ours[len(ours)-1]; theirs > newest {
		return err.WithRemedy("get a newer version of bridge%s, one that speaks version %d; or an older one of plugin %s%s, that speaks version %d",
			ourVersion, theirs, name, theirVersion, newest)
	} else {
		return err.WithRemedy("get a newer version of plugin %s%s, one that speaks version %d; or an older one of bridge%s, that speaks version %d",
			name, theirVersion, newest, ourVersion, theirs)
	}
}

// joinNumbers returns "1", "1 and 2", "1, 2 and 3".
func joinNumbers(list []int) string {
	var words []string
	for _, n := range list {
		words = append(words, strconv.Itoa(n))
	}
	if last := len(words) - 1; last > 0 {
		return fmt.Sprintf("%s and %s", strings.Join(words[:last], ", "), words[last])
	}
	return strings.Join(words, "")
}
