package plugintest

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/plugins/internal/wire"
)

// Debugged is a plugin that its author has started by hand.
type Debugged struct {
	*exec.Cmd
	Name  string
	Value string // of the variable BRIDGE_REATTACH
}

// Debug starts the test binary as an author does, and returns when it has printed what to
// set.
func Debug(t *testing.T, mode string) *Debugged {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d := &Debugged{Cmd: exec.Command(path), Name: filepath.Base(path)}
	d.Env = append(append(os.Environ(), Env(t, mode)...), wire.DebugKey+"=1")
	d.Stderr = os.Stderr
	out, err := d.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Process.Kill(); _ = d.Wait() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "\texport "+wire.ReattachKey+"='"); ok {
			d.Value = strings.TrimSuffix(value, "'")
			return d
		}
	}
	t.Fatalf("the plugin printed no %s: %v", wire.ReattachKey, lines.Err())
	return nil
}

// Socket returns the path of the socket that the plugin listens on.
func (d *Debugged) Socket(t *testing.T) string {
	t.Helper()
	var all map[string]wire.Attachment
	if err := json.Unmarshal([]byte(d.Value), &all); err != nil {
		t.Fatal(err)
	}
	return all[d.Name].Addr.String
}
