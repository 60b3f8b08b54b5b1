package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The SDK's own tests. With BRIDGE_TEST_REQUIRE they need protobuf and grpcio-tools,
// too: the codec is held against Google's.
func TestSDK(t *testing.T) {
	sdk := filepath.Join(Root(), "sdk", "python")
	cmd := exec.Command(Python(t), "-W", "error::DeprecationWarning:bridge_plugin", "-m", "unittest", "discover", "-s", "tests")
	cmd.Dir, cmd.Env = sdk, append(os.Environ(), "PYTHONPATH="+sdk, "PYTHONDONTWRITEBYTECODE=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
