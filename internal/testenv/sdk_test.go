package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestSDK runs the Python SDK's own tests. With BRIDGE_TEST_REQUIRE they also need protobuf and
// grpcio-tools, because they compare the SDK's codec with Google's.
func TestSDK(t *testing.T) {
	sdk := filepath.Join(Root(), "sdk", "python")
	cmd := exec.Command(Python(t), "-W", "error::DeprecationWarning:bridge_plugin", "-m", "unittest", "discover", "-s", "tests")
	cmd.Dir, cmd.Env = sdk, append(os.Environ(), "PYTHONPATH="+sdk, "PYTHONDONTWRITEBYTECODE=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
