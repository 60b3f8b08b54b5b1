package host

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins/internal/plugintest"
	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// attachTo configures a host that could not start the plugin itself.
func attachTo(t *testing.T, d *plugintest.Debugged) Config {
	t.Helper()
	t.Setenv(wire.ReattachKey, d.Value)
	return Config{Path: "/no/such/" + d.Name, Family: "language", Load: adapters.LoadRequest{ID: "tiny"}}
}

func TestAttachedProcessIsGone(t *testing.T) {
	d := plugintest.Debug(t, "crash at loss")
	m := openLanguage(t, attachTo(t, d))
	for range 2 {
		_, err := m.Loss(t.Context(), plugintest.LossRequest(false))
		plugintest.WantError(t, err, adapters.Unavailable, "rpc Loss", wire.ReattachKey, fmt.Sprint("process ", d.Process.Pid))
	}
	_ = d.Wait()
	_, err := m.Loss(t.Context(), plugintest.LossRequest(false))
	plugintest.WantError(t, err, adapters.Unavailable, "is gone", "plugin "+d.Name, "start it again")
	_, err = OpenLanguage(t.Context(), attachTo(t, d))
	plugintest.WantError(t, err, adapters.Unavailable, "is gone", "rpc Load", "start it again")
}

func TestOtherPluginsAreStarted(t *testing.T) {
	d := plugintest.Debug(t, "normal")
	t.Setenv(wire.ReattachKey, d.Value)
	p, err := Launch(t.Context(), config(t, "normal", "language")) // called "fake"
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.current.attached != nil || p.current.runner.ID() == fmt.Sprint(d.Process.Pid) {
		t.Error("a plugin of another name was attached to")
	}
}

func TestAttachmentIsFoundByName(t *testing.T) {
	good := func(name string, version int) string {
		return fmt.Sprintf(`{%q:{"Protocol":"grpc","ProtocolVersion":%d,"Pid":%d,"Test":true,"Addr":{"Network":"unix","String":"/tmp/x"}}}`,
			name, version, syscall.Getpid())
	}
	for given, name := range map[string]string{
		"mine": "mine", executablePrefix + "mine": "mine", "mi": "mi",
	} {
		t.Setenv(wire.ReattachKey, good(given, 1))
		for _, asked := range []string{name, executablePrefix + name} {
			if a, err := attachmentFor(asked); a == nil || err != nil || a.Addr.String != "/tmp/x" {
				t.Errorf("%q does not find %q: %v, %v", asked, given, a, err)
			}
		}
		if a, err := attachmentFor("min"); a != nil || err != nil {
			t.Errorf(`"min" finds %q: %v`, given, err)
		}
	}
	t.Setenv(wire.ReattachKey, good("mine", 9))
	_, err := Launch(t.Context(), Config{Name: "mine", Version: "v3"})
	plugintest.WantError(t, err, adapters.Unsupported, "speaks version 9", "newer version of bridge", "plugin mine v3, rpc start")
	for text, says := range map[string]string{
		"nonsense":    "invalid character",
		`{"mine":{}}`: `the Protocol ""`,
		`{"mine":{"Protocol":"grpc","Addr":{"Network":"unix","String":"x"}}}`: `the address "x"`,
		`{"mine":{"Protocol":"grpc","Addr":{"Network":"udp","String":"x"}}}`:  `the network "udp"`,
	} {
		t.Setenv(wire.ReattachKey, text)
		_, err := Launch(t.Context(), Config{Name: "mine"})
		plugintest.WantError(t, err, adapters.Invalid, wire.ReattachKey, says, "BRIDGE_DEBUG=1")
	}
}
